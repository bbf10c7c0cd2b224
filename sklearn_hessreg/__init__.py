"""Neural-network classification regularised by exact Hessians, for scikit-learn."""

from importlib.metadata import version

from sklearn_hessreg._classifier import HessianRegularizedMLPClassifier
from sklearn_hessreg._display import (
    HessianScoresDisplay,
    ReinitHistoryDisplay,
    TrainingCurveDisplay,
)
from sklearn_hessreg._hessian import hessian_scores
from sklearn_hessreg._reinit import HessianReinit

__version__ = version("sklearn_hessreg")

__all__ = [
    "HessianRegularizedMLPClassifier",
    "HessianReinit",
    "HessianScoresDisplay",
    "ReinitHistoryDisplay",
    "TrainingCurveDisplay",
    "hessian_scores",
]
