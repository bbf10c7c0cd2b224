"""Display classes in scikit-learn's style; matplotlib is imported only when used."""

from sklearn_hessreg._display._hessian_scores import HessianScoresDisplay
from sklearn_hessreg._display._label_quality import LabelQualityDisplay
from sklearn_hessreg._display._reinit_history import ReinitHistoryDisplay
from sklearn_hessreg._display._training_curve import TrainingCurveDisplay
