"""From the estimator's hyperparameters to a skorch net, and what they rule out."""

import math
import warnings

import numpy as np
import torch
from sklearn.base import clone

from sklearn_hessreg._hessian import count_operations
from sklearn_hessreg._reinit import AUTO_UPDATES, PARAMETER_CONSTRAINTS, HessianReinit
from sklearn_hessreg._training._adam import Adam
from sklearn_hessreg._training._batches import Batches, rows_of_batch
from sklearn_hessreg._training._convergence import Convergence
from sklearn_hessreg._training._module import MLP
from sklearn_hessreg._training._net import PREDICTION_BATCH, MLPNet
from sklearn_hessreg._validation import hidden_units


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
            *hidden_units(estimator),
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
    method = {
        name: getattr(estimator, name)
        for name in PARAMETER_CONSTRAINTS.keys() - {"random_state"}
    }
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
