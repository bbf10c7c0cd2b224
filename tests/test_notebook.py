"""In a notebook the progress bars are drawn, and an estimator is a table."""

from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path

import pytest

needs = "needs the packages of a notebook"
manager = pytest.importorskip("jupyter_client.manager", reason=needs)
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
FITS = {
    "scikit-learn's progress bar": "from sklearn.callback import ProgressBar\n"
    "clf = HessianRegularizedMLPClassifier(max_iter=2)\n"
    "clf.set_callbacks(ProgressBar()).fit(X, y);",
    "skorch's progress bar": "from skorch.callbacks import ProgressBar\n"
    "bar = [ProgressBar()]\n"
    "HessianRegularizedMLPClassifier(max_iter=2, skorch_callbacks=bar).fit(X, y);",
    "parameters": "HessianRegularizedMLPClassifier(k=30)",
}


@contextmanager
def kernel(folder):
    """Start a kernel of this Python, and shut it down in the end."""
    running, client = manager.start_new_kernel(cwd=str(folder))
    try:
        yield client
    finally:
        client.stop_channels()
        running.shutdown_kernel(now=True)


def execute(client, source):
    """Run a cell; return what it shows, by the kind of data."""
    data = defaultdict(list)

    def collect(message):
        for kind, value in message["content"].get("data", {}).items():
            data[kind].append(value)

    reply = client.execute_interactive(source, output_hook=collect, timeout=300)
    assert reply["content"]["status"] == "ok", reply["content"]
    return data


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Execute all in one notebook; return what each cell shows."""
    pytest.importorskip("sklearn.callback", reason="before 1.9")
    pytest.importorskip("rich")
    with kernel(tmp_path_factory.mktemp("notebook")) as client:
        execute(client, IMPORT)
        return {name: execute(client, source) for name, source in FITS.items()}


@pytest.mark.parametrize("name", [name for name in FITS if "bar" in name])
def test_a_progress_bar_is_a_widget(name, shown):
    assert shown[name]["application/vnd.jupyter.widget-view+json"]


def test_an_estimator_shows_its_table_of_parameters(shown):
    assert "parameters-table" in shown["parameters"]["text/html"][0]
