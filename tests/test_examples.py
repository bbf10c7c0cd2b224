"""Every example of the gallery runs to its end; MNIST is not at hand everywhere."""

import runpy
import sys
import warnings
from pathlib import Path

import pytest

plt = pytest.importorskip("matplotlib.pyplot")
EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted({path.name for path in EXAMPLES.glob("plot_*.py")} - {"plot_mnist.py"})
NEEDS = {
    "plot_grid_search.py": ["sklearn.callback"],
    "plot_optuna.py": ["optuna"],
    "plot_optuna_processes.py": ["optuna", "sklearn.callback"],
}


# in one process, as the gallery runs them: each of its own would import torch again
@pytest.mark.parametrize("script", SCRIPTS)
def test_example_runs(script, tmp_path, monkeypatch):
    for module in NEEDS.get(script, ()):
        pytest.importorskip(module)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [script])
    plt.switch_backend("agg")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runpy.run_path(str(EXAMPLES / script), run_name="__main__")
    plt.close("all")
