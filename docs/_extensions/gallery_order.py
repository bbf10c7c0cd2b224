"""The order of the examples in the gallery: the tutorial first, then by task."""

from pathlib import Path

ORDER = [
    "plot_quickstart.py",
    "plot_wrong_labels.py",
    "plot_label_quality.py",
    "plot_regression.py",
    "plot_imbalanced.py",
    "plot_grid_search.py",
    "plot_optuna.py",
    "plot_reinitialisation.py",
    "plot_skorch_callback.py",
    "plot_prune.py",
    "plot_protect.py",
    "plot_mnist.py",
]


def place(filename):
    """Return the place of an example; others come last."""
    name = Path(filename).name
    return ORDER.index(name) if name in ORDER else len(ORDER)
