"""Every example of the gallery runs to its end; MNIST is not at hand everywhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted({path.name for path in EXAMPLES.glob("plot_*.py")} - {"plot_mnist.py"})
NEEDS = {
    "plot_grid_search.py": ["sklearn.callback"],
    "plot_optuna.py": ["optuna"],
    "plot_optuna_processes.py": ["optuna", "sklearn.callback"],
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_example_runs(script, tmp_path):
    for module in NEEDS.get(script, ()):
        pytest.importorskip(module)
    done = subprocess.run(
        [sys.executable, EXAMPLES / script],
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
