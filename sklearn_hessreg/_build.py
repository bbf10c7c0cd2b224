"""From the estimator's hyperparameters to a skorch net, and what they rule out."""

import math
import warnings
from numbers import Integral

import numpy as np
import torch
from sklearn.base import clone
from skorch.callbacks import Callback

from sklearn_hessreg._adam import Adam
from sklearn_hessreg._callback import AUTO_UPDATES, HessianReinit
from sklearn_hessreg._convergence import Convergence
from sklearn_hessreg._hessian import count_operations
from sklearn_hessreg._module import MLP
from sklearn_hessreg._net import PREDICTION_BATCH, Batches, MLPNet, rows_of_batch

# The estimator's names of the method's hyperparameters, and HessianReinit's.
METHOD_PARAMETERS = {
    "k": "k",
    "n": "n",
    "aggregation": "aggregation",
    "initializer": "initializer",
    "granularity": "granularity",
    "scope": "scope",
    "curvature": "curvature",
    "criterion": "criterion",
    "reinit_every": "every",
    "reinit_until": "until",
    "hessian_samples": "samples",
    "optimizer_state": "optimizer_state",
}


def check_parameters(estimator):
    """Refuse what constraints on single parameters cannot see."""
    sizes = _hidden_units(estimator)
    if not all(
        isinstance(size, Integral) and not isinstance(size, bool) and size > 0
        for size in sizes
    ):
        raise ValueError(
            f"hidden_layer_sizes must be integers > 0, got {sizes}. Name the number of "
            "units of each hidden layer."
        )
    n_weights = len(sizes) + 1
    if estimator.n > n_weights:
        raise ValueError(
            f"n={estimator.n} is larger than the number of weight layers, {n_weights} "
            f"with hidden_layer_sizes={estimator.hidden_layer_sizes}. Choose n from 1 "
            f"to {n_weights}, or more hidden layers."
        )
    solver = estimator.solver
    is_optimizer = isinstance(solver, type) and issubclass(
        solver, torch.optim.Optimizer
    )
    if not isinstance(solver, str) and not is_optimizer:
        raise ValueError(
            f"solver={solver!r} is not allowed. Use 'adam', 'sgd' or a subclass of "
            "torch.optim.Optimizer."
        )
    for callback in estimator.skorch_callbacks or []:
        part = callback[-1] if isinstance(callback, tuple) else callback
        if not isinstance(part, Callback) and not (
            isinstance(part, type) and issubclass(part, Callback)
        ):
            raise ValueError(
                f"skorch_callbacks has {callback!r}, which is no skorch callback. Use "
                "instances or classes of skorch.callbacks.Callback, or tuples of a "
                "name and such a callback."
            )


def check_same_layers(estimator):
    """Refuse to continue the training of a net of other layer sizes."""
    trained = [layer.out_features for layer in estimator.net_.module_.layers[:-1]]
    if trained != _hidden_units(estimator):
        raise ValueError(
            f"hidden_layer_sizes cannot change from {tuple(trained)} to "
            f"{tuple(_hidden_units(estimator))} when training is continued. Set it "
            "back, or call fit with warm_start=False."
        )


def warn_if_expensive(estimator, module, n_samples):
    """Warn where the streamed Hessian costs far more than an epoch of training."""
    exact = estimator.criterion == "hessian" and estimator.curvature == "mean_loss"
    if not exact or estimator.k == 0:
        return
    scored = list(module.layers[-estimator.n :])
    if len(module.layers) > 1 and estimator.activation in ("relu", "logistic"):
        scored.pop()  # behind inputs of one sign the output layer factorises
    used = min(n_samples, estimator.hessian_samples or n_samples)
    event = sum(count_operations(used, m.out_features, m.in_features) for m in scored)
    epoch = 6 * n_samples * sum(layer.weight.numel() for layer in module.layers)
    ratio = event / epoch / _epochs_between(estimator, n_samples)
    if ratio > 10 and event > 1e10:
        warnings.warn(
            f"The exact Hessian of the last n={estimator.n} layers on {used} samples "
            f"takes up to {event:.0e} floating-point operations each time, {ratio:.0f} "
            "times the training between two re-initialisations. Fewer hessian_samples "
            "or curvature='per_sample' make it cheaper.",
            stacklevel=5,
        )


def _epochs_between(estimator, n_samples):
    """Count the epochs from one re-initialisation to the next."""
    if estimator.reinit_every != "auto":
        return estimator.reinit_every
    batches = math.ceil(n_samples / rows_of_batch(estimator.batch_size, n_samples))
    return math.ceil(AUTO_UPDATES / batches)


def build_net(estimator, multilabel, dtype, device, seed, random_state):
    """Make and initialise the skorch net that the hyperparameters describe."""
    n_classes = len(estimator.classes_)
    n_outputs = 1 if n_classes == 2 and not multilabel else n_classes
    logistic = multilabel or n_outputs == 1
    criterion = torch.nn.BCEWithLogitsLoss if logistic else torch.nn.CrossEntropyLoss
    return MLPNet(
        MLP,
        module__layer_units=[
            estimator.n_features_in_,
            *_hidden_units(estimator),
            n_outputs,
        ],
        module__activation=estimator.activation,
        module__dropout=estimator.dropout,
        module__dtype=torch.from_numpy(np.empty(0, dtype)).dtype,
        criterion=criterion,
        alpha=estimator.alpha,
        lr=estimator.learning_rate_init,
        **_optimizer(estimator),
        iterator_train=Batches,
        iterator_train__shuffle=estimator.shuffle,
        iterator_train__random_state=random_state,
        iterator_valid=Batches,
        iterator_valid__batch_size=PREDICTION_BATCH,
        train_split=None,
        callbacks=_callbacks(estimator, seed),
        **_print_log(estimator),
        verbose=int(estimator.verbose),
        device=str(device),
    ).initialize()


def _hidden_units(estimator):
    """List the sizes of the hidden layers."""
    sizes = estimator.hidden_layer_sizes
    return list(sizes) if np.iterable(sizes) else [sizes]


def _optimizer(estimator):
    """Translate the solver's hyperparameters to skorch's."""
    if not isinstance(estimator.solver, str):
        return {"optimizer": estimator.solver}
    shared = {
        "optimizer__fused": True,
        "optimizer__param_groups": [("*.weight", {})],
        "decay_in_optimizer": True,
    }
    if estimator.solver == "sgd":
        return {
            "optimizer": torch.optim.SGD,
            "optimizer__momentum": estimator.momentum,
            # torch refuses nesterov without momentum, where it means nothing
            "optimizer__nesterov": estimator.nesterovs_momentum
            and estimator.momentum > 0,
            **shared,
        }
    return {
        "optimizer": Adam,
        "optimizer__betas": (float(estimator.beta_1), float(estimator.beta_2)),
        "optimizer__eps": estimator.epsilon,
        **shared,
    }


def _print_log(estimator):
    """Leave out skorch's log where it would lay out a table for nobody."""
    return {} if estimator.verbose else {"callbacks__print_log": None}


def _callbacks(estimator, seed):
    """List the method, the stopping rule, which only sets a flag, and the user's."""
    method = {cb: getattr(estimator, own) for own, cb in METHOD_PARAMETERS.items()}
    schedule = estimator.learning_rate if estimator.solver == "sgd" else "constant"
    return [
        ("hessian_reinit", HessianReinit(**method, random_state=seed)),
        (
            "convergence",
            Convergence(
                tol=estimator.tol,
                n_iter_no_change=estimator.n_iter_no_change,
                early_stopping=estimator.early_stopping,
                learning_rate=schedule,
                power_t=estimator.power_t,
            ),
        ),
        *clone(list(estimator.skorch_callbacks or []), safe=False),
    ]
