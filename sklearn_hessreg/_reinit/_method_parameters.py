"""The method's hyperparameters: type, default, description and what is allowed."""

import math
import re
from dataclasses import dataclass
from inspect import signature
from numbers import Integral, Real
from textwrap import fill, indent
from typing import get_args

from sklearn.utils._param_validation import Interval, Options, StrOptions

from sklearn_hessreg._typing import (
    Aggregation,
    Curvature,
    Granularity,
    ImportanceName,
    InitializerName,
    OptimizerState,
    Rows,
    Scope,
)


@dataclass(frozen=True)
class Parameter:
    """A hyperparameter as numpydoc describes it and scikit-learn validates it."""

    constraints: list
    type: str
    description: str

    def describe(self, name, default):
        """Write the entry of a numpydoc section."""
        value = f'"{default}"' if isinstance(default, str) else default
        # code is not broken
        whole = re.sub("``.*?``", lambda m: m[0].replace(" ", "\0"), self.description)
        text = fill(whole, 80, break_on_hyphens=False).replace("\0", " ")
        return f"{name} : {self.type}, default={value}\n{indent(text, ' ' * 4)}"


def _names(literal, *further):
    """Constrain a parameter to the names of a Literal type, or something else."""
    return [StrOptions(set(get_args(literal))), *further]


def _one_of(literal):
    """Write the names of a Literal type as numpydoc does."""
    return "{" + ", ".join(f'"{name}"' for name in get_args(literal)) + "}"


_OF_TORCH = ", ".join(
    f'``"{name}"``' for name in get_args(InitializerName) if name != "zeros"
)
_POSITIVE = Interval(Integral, 1, None, closed="left")

PARAMETERS = {
    "k": Parameter(
        [Interval(Real, 0, 100, closed="both")],
        "float",
        "Percent of the weights (or units) to re-initialise, from 0 to 100: "
        "``ceil(k / 100 * count)`` of them. 0 switches the method off.",
    ),
    "n": Parameter(
        [_POSITIVE, None],
        "int",
        "How many of the last weight layers take part, the output layer among them; "
        "None takes all. A weight layer is a linear layer, a convolution or another "
        "module with a trained weight of two or more dimensions; an MLP has one more "
        "of them than hidden layers.",
    ),
    "aggregation": Parameter(
        _names(Aggregation),
        _one_of(Aggregation),
        "How the absolute Hessian is reduced to one score per weight. Inside a layer "
        'both select the same weights; they differ under ``scope="global"``.',
    ),
    "initializer": Parameter(
        _names(InitializerName, callable),
        "str or callable",
        'What re-initialised weights are drawn from: ``"zeros"``, or the name of an '
        "initializer in :mod:`torch.nn.init` with that function's defaults "
        f"({_OF_TORCH}; uniform is U(0, 1), normal is N(0, 1)), or a picklable "
        "callable ``f(tensor, generator=...)`` that fills a tensor of the "
        "layer's shape in place or returns one, such as "
        "``functools.partial(torch.nn.init.normal_, std=0.1)``. It is tried once on "
        "every layer before training.",
    ),
    "granularity": Parameter(
        _names(Granularity),
        _one_of(Granularity),
        'Re-initialise single weights, or whole units: ``"unit"`` ranks the output '
        "units (channels of a convolution, rows of an embedding) by the aggregate of "
        "their weights' scores, redraws their weights and sets their biases to zero.",
    ),
    "scope": Parameter(
        _names(Scope),
        _one_of(Scope),
        "Take the top k percent in each layer, or of all ``n`` layers together.",
    ),
    "curvature": Parameter(
        _names(Curvature),
        _one_of(Curvature),
        "Absolute value of the mean loss's Hessian (the paper's), or mean of the "
        "samples' absolute Hessians: also exact, and far cheaper for wide hidden "
        "layers, which is why it is the default here and not in "
        ":func:`hessian_scores`.",
    ),
    "importance": Parameter(
        _names(ImportanceName, callable),
        f"{_one_of(ImportanceName)} or callable",
        'What ranks the weights. The method is ``"hessian"``; absolute value and '
        "chance are its controls. A picklable callable ``f(module, names, *, loss, "
        "inputs, targets, generator)`` returns a dict with one score for each weight, "
        "in a tensor of its shape, for each layer in ``names``; the highest are "
        "re-initialised. It is called in evaluation mode, on the Hessian samples: "
        "``loss(module(inputs), targets)`` is their loss (a dict of inputs is passed "
        "as keywords). ``generator`` is for what it draws. It is tried once on two "
        "samples before training.",
    ),
    "reinit_every": Parameter(
        [StrOptions({"plateau"}), _POSITIVE],
        'int or "plateau"',
        "When a cycle ends: its network is kept, and the next epoch begins with a "
        're-initialisation. ``"plateau"`` waits until training has converged, which is '
        "where MLPClassifier stops: the monitored loss or score has not been better by "
        "``tol`` than the best one of the cycle for more than ``n_iter_no_change`` "
        "epochs in a row. An integer counts epochs, converged or not; the paper "
        "re-initialises after each, 1.",
    ),
    "n_snapshots": Parameter(
        [_POSITIVE],
        "int",
        "Networks that are kept, one at the end of each cycle, and whose predictions "
        'are averaged. Under ``reinit_every="plateau"`` training ends with the last of '
        "them; under an integer the last so many are kept. 1 keeps one network.",
    ),
    "reinit_until": Parameter(
        [_POSITIVE, None],
        "int",
        "Last epoch after which weights are re-initialised; None sets no end.",
    ),
    "hessian_samples": Parameter(
        [_POSITIVE, None],
        "int",
        "Training samples in the Hessian, drawn anew each time; None takes all.",
    ),
    "optimizer_state": Parameter(
        _names(OptimizerState),
        _one_of(OptimizerState),
        "Whether what the optimizer holds of the redrawn weights is kept or set back "
        "to its start, which is zero for moments. ``solver`` or ``optimizer`` must "
        "hold it weight by weight, as Adam and SGD do; LBFGS and Adafactor do not.",
    ),
}
OF_THE_CALLBACK = {  # the estimator has its own words for these, or none
    "monitor": Parameter(
        [str, None],
        "str",
        "Column of the net's history that is watched; a callback that writes it comes "
        'before this one. ``"auto"`` is ``"valid_loss"``, or ``"train_loss"`` where '
        "the net has no validation data; an integer ``reinit_every`` needs neither. "
        "None leaves it to whoever trains the net to end the cycles, by "
        ":meth:`end_cycle`.",
    ),
    "lower_is_better": Parameter(
        ["boolean"], "bool", "Whether the column holds losses, not scores."
    ),
    "load_best": Parameter(
        ["boolean"],
        "bool",
        "Whether a cycle's snapshot is its best network by that column, which is "
        "restored before the re-initialisation, instead of its last.",
    ),
    "tol": Parameter(
        [Interval(Real, 0, None, closed="left")],
        "float",
        "By how much an epoch must beat the cycle's best to be an improvement.",
    ),
    "n_iter_no_change": Parameter(
        [_POSITIVE, Options(Real, {math.inf})],
        "int",
        "A plateau is reached after more epochs than that without improvement.",
    ),
    "random_state": Parameter(
        [Interval(Integral, 0, 2**63 - 1, closed="both"), None],
        "int",
        "Seed of all draws; None takes one from the operating system.",
    ),
    "rows": Parameter(
        _names(Rows, None),
        f"{_one_of(Rows)} or None",
        "What the processes hold that train one net, where :mod:`torch.distributed` is "
        'initialised: all the same training samples (``"replicated"``), or each rows '
        'of its own (``"sharded"``). None leaves each to a net of its own.',
    ),
}
PARAMETER_CONSTRAINTS = {
    name: parameter.constraints for name, parameter in PARAMETERS.items()
}
CALLBACK_CONSTRAINTS = PARAMETER_CONSTRAINTS | {
    name: parameter.constraints for name, parameter in OF_THE_CALLBACK.items()
}


def document_parameters(further=OF_THE_CALLBACK):
    """Make a decorator that describes the parameters a docstring names, as %(k)s.

    They are the method's hyperparameters and the `further` ones.
    """
    known = PARAMETERS | further

    def document(cls):
        defaults = {name: p.default for name, p in signature(cls).parameters.items()}

        def describe(marker):
            margin, name = marker.groups()
            return indent(known[name].describe(name, defaults[name]), margin)

        if cls.__doc__ is not None:  # python -OO
            cls.__doc__ = re.sub(r"(?m)^( *)%\((\w+)\)s$", describe, cls.__doc__)
        return cls

    return document
