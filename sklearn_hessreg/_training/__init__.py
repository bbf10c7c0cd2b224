"""The training: a spec and checked arrays in, a trained net out."""

from sklearn_hessreg._training._batches import Samples, to_samples
from sklearn_hessreg._training._module import ACTIVATIONS
from sklearn_hessreg._training._net import PREDICTION_BATCH
from sklearn_hessreg._training._run import train
from sklearn_hessreg._training._sklearn_callbacks import fit_task, init_context
from sklearn_hessreg._training._spec import TrainingSpec
from sklearn_hessreg._training._state import capture, to_plain

__all__ = [
    "ACTIVATIONS",
    "PREDICTION_BATCH",
    "Samples",
    "TrainingSpec",
    "capture",
    "fit_task",
    "init_context",
    "to_plain",
    "to_samples",
    "train",
]
