"""In a notebook an example runs to its end, and the progress bars are drawn."""

from pathlib import Path

import pytest

needs = "needs the packages of a notebook"
nbformat = pytest.importorskip("nbformat", reason=needs)
nbclient = pytest.importorskip("nbclient", reason=needs)
pytest.importorskip("ipykernel", reason=needs)
pytest.importorskip("ipywidgets", reason=needs)

ROOT = Path(__file__).parents[1]
IMPORT = f"""
import sys, warnings
sys.path.insert(0, {str(ROOT)!r})
warnings.simplefilter("ignore")
from sklearn.datasets import load_iris
from sklearn_hessreg import HessianRegularizedMLPClassifier
X, y = load_iris(return_X_y=True)
"""


def execute(notebook, folder):
    """Execute a notebook in this Python; return it with its outputs."""
    resources = {"metadata": {"path": str(folder)}}
    client = nbclient.NotebookClient(notebook, timeout=300, resources=resources)
    return client.execute()


def outputs(notebook, kind):
    """Collect what the cells show in a kind of data."""
    shown = [o for cell in notebook.cells for o in cell.get("outputs", ())]
    return [o.data[kind] for o in shown if kind in o.get("data", ())]


@pytest.mark.parametrize(
    "fit",
    [
        "from sklearn.callback import ProgressBar\n"
        "HessianRegularizedMLPClassifier().set_callbacks(ProgressBar()).fit(X, y);",
        "from skorch.callbacks import ProgressBar\n"
        "bar = [ProgressBar()]\n"
        "HessianRegularizedMLPClassifier(max_iter=2, skorch_callbacks=bar).fit(X, y);",
    ],
    ids=["scikit-learn", "skorch"],
)
def test_a_progress_bar_is_a_widget(fit, tmp_path):
    if "sklearn.callback" in fit:
        pytest.importorskip("sklearn.callback", reason="before 1.9")
        pytest.importorskip("rich")
    cells = [nbformat.v4.new_code_cell(source) for source in (IMPORT, fit)]
    notebook = execute(nbformat.v4.new_notebook(cells=cells), tmp_path)
    assert outputs(notebook, "application/vnd.jupyter.widget-view+json")


def test_an_estimator_shows_its_table_of_parameters(tmp_path):
    cell = IMPORT + "HessianRegularizedMLPClassifier(k=30)"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    (html,) = outputs(execute(notebook, tmp_path), "text/html")
    assert "parameters-table" in html
