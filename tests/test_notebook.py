"""In a notebook the progress bars are drawn, and an estimator is a table."""

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


FITS = {
    "scikit-learn's progress bar": "from sklearn.callback import ProgressBar\n"
    "clf = HessianRegularizedMLPClassifier(max_iter=2)\n"
    "clf.set_callbacks(ProgressBar()).fit(X, y);",
    "skorch's progress bar": "from skorch.callbacks import ProgressBar\n"
    "bar = [ProgressBar()]\n"
    "HessianRegularizedMLPClassifier(max_iter=2, skorch_callbacks=bar).fit(X, y);",
    "parameters": "HessianRegularizedMLPClassifier(k=30)",
}


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Execute all in one notebook; return what each cell shows, by the kind of data."""
    pytest.importorskip("sklearn.callback", reason="before 1.9")
    pytest.importorskip("rich")
    cells = [nbformat.v4.new_code_cell(source) for source in (IMPORT, *FITS.values())]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook = execute(notebook, tmp_path_factory.mktemp("notebook"))
    return {
        name: {
            kind: o.data[kind] for o in cell.outputs if "data" in o for kind in o.data
        }
        for name, cell in zip(FITS, notebook.cells[1:], strict=True)
    }


@pytest.mark.parametrize("name", [name for name in FITS if "bar" in name])
def test_a_progress_bar_is_a_widget(name, shown):
    assert shown[name]["application/vnd.jupyter.widget-view+json"]


def test_an_estimator_shows_its_table_of_parameters(shown):
    assert "parameters-table" in shown["parameters"]["text/html"]
