"""TrainingSpec: what a training is to do, as values that do not change."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sklearn_hessreg._heads import Head


@dataclass(frozen=True)
class TrainingSpec:
    """What a training is to do; where the estimator has a name for it, its name.

    `layer_units` are the units of all layers, inputs and outputs included; `method` are
    HessianReinit's hyperparameters, `skorch_callbacks` the user's own copies; `seed` is
    that of the method and of dropout. A training of `max_iter` epochs at most begins
    with a new optimizer unless `keep_optimizer` says that an earlier one goes on.
    `class_weight` has one for each
    class, None where all are one.
    """

    layer_units: tuple[int, ...]
    dtype: str
    head: Head
    device: str
    seed: int
    method: Mapping[str, Any]
    skorch_callbacks: tuple[Any, ...]
    keep_optimizer: bool
    distributed: bool
    class_weight: tuple[float, ...] | None
    activation: str
    dropout: float
    solver: str | type
    alpha: float
    batch_size: int | str
    learning_rate: str
    learning_rate_init: float
    power_t: float
    max_iter: int
    shuffle: bool
    tol: float
    n_iter_no_change: float
    early_stopping: bool
    scoring: Any
    validation_fraction: float
    oob_score: bool
    momentum: float
    nesterovs_momentum: bool
    beta_1: float
    beta_2: float
    epsilon: float
    max_fun: int
    verbose: int

    @property
    def torch_dtype(self):
        """The weights' dtype as torch's."""
        return torch.from_numpy(np.empty(0, self.dtype)).dtype

    @property
    def score_column(self):
        """The history's name for the score that early stopping goes by."""
        return self.head.score_column if self.scoring is None else "valid_score"

    @property
    def score_name(self):
        """That score's name for a reader."""
        if self.scoring is None:
            return self.head.score_name
        name = getattr(self.scoring, "__name__", self.scoring)
        if name == "loss":
            return "negative loss"
        return name if isinstance(name, str) else "score"

    @property
    def hidden_layer_sizes(self):
        """The units of the hidden layers."""
        return self.layer_units[1:-1]
