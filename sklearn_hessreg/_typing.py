"""Types of the public interface, for type checkers."""

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import torch
from numpy.typing import ArrayLike
from scipy.sparse import sparray, spmatrix
from sklearn.base import _fit_context
from sklearn.utils.metaestimators import available_if as _available_if

MatrixLike = ArrayLike | sparray | spmatrix

Activation = Literal[
    "identity",
    "logistic",
    "tanh",
    "relu",
    "leaky_relu",
    "elu",
    "selu",
    "gelu",
    "silu",
    "mish",
]
Solver = Literal["adam", "sgd", "lbfgs"] | type[torch.optim.Optimizer]
ClassifierLoss = Literal["log_loss", "gce"]
Loss = Literal["squared_error", "poisson", "absolute_error", "huber"]
LearningRate = Literal["constant", "invscaling", "adaptive"]

Aggregation = Literal["mean", "sum"]
Granularity = Literal["weight", "unit"]
Scope = Literal["layer", "global"]
Curvature = Literal["mean_loss", "per_sample"]
ImportanceName = Literal["hessian", "magnitude", "random"]
Importance = ImportanceName | Callable[..., dict[str, torch.Tensor]]
OptimizerState = Literal["keep", "reset"]
Rows = Literal["replicated", "sharded"]
InitializerName = Literal[
    "zeros",
    "uniform",
    "normal",
    "trunc_normal",
    "xavier_uniform",
    "xavier_normal",
    "kaiming_uniform",
    "kaiming_normal",
    "orthogonal",
]
Initializer = InitializerName | Callable[..., torch.Tensor | None]

Style = dict[str, Any] | None  # options for matplotlib

F = TypeVar("F", bound=Callable[..., Any])
# scikit-learn is untyped, so its decorators would hide the types of what they wrap
fit_context: Callable[..., Callable[[F], F]] = _fit_context
available_if: Callable[..., Callable[[F], F]] = _available_if
