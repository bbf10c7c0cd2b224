"""Neural networks regularised by exact Hessians, for scikit-learn."""

from sklearn_hessreg._classifier import HessianRegularizedMLPClassifier
from sklearn_hessreg._display import (
    HessianScoresDisplay,
    LabelQualityDisplay,
    ReinitHistoryDisplay,
    TrainingCurveDisplay,
)
from sklearn_hessreg._fitted import __version__
from sklearn_hessreg._hessian import hessian_scores
from sklearn_hessreg._regressor import HessianRegularizedMLPRegressor
from sklearn_hessreg._reinit import HessianReinit, SnapshotAveragingMixin
from sklearn_hessreg._state import FitCheckpoint

__all__ = [
    "FitCheckpoint",
    "HessianRegularizedMLPClassifier",
    "HessianRegularizedMLPRegressor",
    "HessianReinit",
    "HessianScoresDisplay",
    "LabelQualityDisplay",
    "ReinitHistoryDisplay",
    "SnapshotAveragingMixin",
    "TrainingCurveDisplay",
    "__version__",
    "hessian_scores",
]
