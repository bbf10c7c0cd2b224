"""TrainingSpec: everything that determines a training, and what it costs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sklearn_hessreg._compat import warn_at_caller
from sklearn_hessreg._heads import Head
from sklearn_hessreg._hessian import count_operations
from sklearn_hessreg._reinit import epochs_between


@dataclass(frozen=True)
class TrainingSpec:
    """The settings of one training, under the estimator's names where it has them.

    `layer_units` are the units of all layers, including inputs and outputs. `method`
    holds HessianReinit's hyperparameters, `skorch_callbacks` copies of the user's
    callbacks. `seed` seeds the method and dropout. A training of at most `max_iter`
    epochs begins with a new optimizer, unless `keep_optimizer` says that an earlier one
    goes on. `class_weight` has one weight per class, or is None if all are one.
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
        """The weights' dtype in torch."""
        return torch.from_numpy(np.empty(0, self.dtype)).dtype

    @property
    def score_column(self):
        """The history column of the score that early stopping uses."""
        return self.head.score_column if self.scoring is None else "valid_score"

    @property
    def score_name(self):
        """That score's display name."""
        if self.scoring is None:
            return self.head.score_name
        name = getattr(self.scoring, "__name__", self.scoring)
        if name == "loss":
            return "negative loss"
        return name if isinstance(name, str) else "score"

    @property
    def watched(self):
        """What decides when training has converged, by name."""
        if not self.early_stopping:
            return "training loss"
        return getattr(self.scoring, "__name__", None) or repr(self.scoring)

    @property
    def hidden_layer_sizes(self):
        """The units of the hidden layers."""
        return self.layer_units[1:-1]


def warn_if_expensive(spec, n_samples):
    """Warn if the streamed Hessian costs far more than training between events."""
    method = spec.method
    if method["importance"] != "hessian" or method["curvature"] != "mean_loss":
        return
    if method["k"] == 0:
        return
    shapes = list(zip(spec.layer_units[1:], spec.layer_units, strict=False))
    n = method["n"] or len(shapes)
    *hidden, output = shapes[-n:]
    used = min(n_samples, method["hessian_samples"] or n_samples)
    event = sum(count_operations(used, *shape) for shape in hidden)
    # with inputs of one sign the output layer factorises
    if len(shapes) == 1 or spec.activation not in ("relu", "logistic"):
        alone = spec.head.out_activation != "softmax"
        event += count_operations(used, *output, diagonal=alone)
    epoch = 6 * n_samples * sum(math.prod(shape) for shape in shapes)
    every = epochs_between(method["reinit_every"], spec.n_iter_no_change)
    ratio = event / epoch / every
    if ratio > 10 and event > 1e10:
        warn_at_caller(
            f"The exact Hessian of the last n={n} layers on {used} samples "
            f"takes up to {event:.0e} floating-point operations each time, {ratio:.0f} "
            "times the training between two re-initialisations. Fewer hessian_samples "
            "or curvature='per_sample' make it cheaper."
        )
