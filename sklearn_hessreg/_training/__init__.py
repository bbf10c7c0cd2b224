"""Training: a spec and checked arrays in, a trained net out."""

from sklearn_hessreg._training._batches import Samples
from sklearn_hessreg._training._checkpoint import EstimatorCheckpoint, describe_fit
from sklearn_hessreg._training._mlp import count_largest_product
from sklearn_hessreg._training._net import PREDICTION_BATCH
from sklearn_hessreg._training._run import train
from sklearn_hessreg._training._sharded import (
    gather_rows,
    learn_alike,
    share_generator,
    sharing_ranks,
)
from sklearn_hessreg._training._sklearn_callbacks import fit_task
from sklearn_hessreg._training._spec import TrainingSpec
from sklearn_hessreg._training._split import to_samples
from sklearn_hessreg._training._training_parameters import TRAINING_PARAMETERS
