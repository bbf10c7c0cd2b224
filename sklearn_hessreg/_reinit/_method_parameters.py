"""The method's hyperparameters: type, default, description and constraints."""

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
        """Return the entry for a numpydoc section."""
        value = f'"{default}"' if isinstance(default, str) else default
        # keep code spans whole
        whole = re.sub("``.*?``", lambda m: m[0].replace(" ", "\0"), self.description)
        text = fill(whole, 80, break_on_hyphens=False).replace("\0", " ")
        return f"{name} : {self.type}, default={value}\n{indent(text, ' ' * 4)}"


def _names(literal, *further):
    """Return constraints: the names of a Literal type, and any further ones."""
    return [StrOptions(set(get_args(literal))), *further]


def _one_of(literal):
    """Format the names of a Literal type as numpydoc does."""
    return "{" + ", ".join(f'"{name}"' for name in get_args(literal)) + "}"


_OF_TORCH = ", ".join(
    f'``"{name}"``' for name in get_args(InitializerName) if name != "zeros"
)
_POSITIVE = Interval(Integral, 1, None, closed="left")

PARAMETERS = {
    "k": Parameter(
        [Interval(Real, 0, 100, closed="both")],
        "float",
        "Percentage of the weights (or units) to re-initialise, from 0 to 100: "
        "``ceil(k / 100 * count)`` of them. 0 switches the method off.",
    ),
    "n": Parameter(
        [_POSITIVE, None],
        "int",
        "How many of the last weight layers take part, including the output layer; "
        "None takes all. A weight layer is a linear layer, a convolution or another "
        "module with a trained weight of two or more dimensions. An MLP has one more "
        "weight layer than hidden layers.",
    ),
    "aggregation": Parameter(
        _names(Aggregation),
        _one_of(Aggregation),
        "How to reduce the absolute Hessian to one score per weight. Within a layer "
        'both select the same weights; they differ with ``scope="global"``.',
    ),
    "initializer": Parameter(
        _names(InitializerName, callable),
        "str or callable",
        'How to draw the re-initialised weights: ``"zeros"``; the name of an '
        "initializer in :mod:`torch.nn.init`, used with that function's defaults "
        f"({_OF_TORCH}; uniform is U(0, 1), normal is N(0, 1)); or a picklable "
        "callable ``f(tensor, generator=...)`` that fills a tensor of the "
        "layer's shape in place or returns one, such as "
        "``functools.partial(torch.nn.init.normal_, std=0.1)``. It is tried once on "
        "every layer before training.",
    ),
    "granularity": Parameter(
        _names(Granularity),
        _one_of(Granularity),
        'Re-initialise single weights or whole units. ``"unit"`` ranks the output '
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
        "``\"mean_loss\"``, the paper's, is the absolute value of the mean loss's "
        'Hessian. ``"per_sample"`` is the mean of the samples\' absolute Hessians. It '
        "is also exact, and far cheaper for wide hidden layers, which is why it is the "
        "default here and not in :func:`hessian_scores`.",
    ),
    "importance": Parameter(
        _names(ImportanceName, callable),
        f"{_one_of(ImportanceName)} or callable",
        'What ranks the weights. The method is ``"hessian"``; absolute value '
        '(``"magnitude"``) and chance (``"random"``) are its controls. A picklable '
        "callable ``f(module, names, *, loss, inputs, targets, generator)`` returns a "
        "dict with one tensor for each layer in ``names``. It holds one score per "
        "weight, in the shape of the layer's weight; the weights with the highest "
        "scores are re-initialised. The callable is called in evaluation mode on the "
        "Hessian samples: ``loss(module(inputs), targets)`` is their loss (a dict of "
        "inputs is passed as keywords). ``generator`` is for any random draws. The "
        "callable is tried once on two samples before training.",
    ),
    "reinit_every": Parameter(
        [StrOptions({"plateau"}), _POSITIVE],
        'int or "plateau"',
        "When a cycle ends. Its network is then kept, and the next epoch starts with a "
        're-initialisation. ``"plateau"`` waits until training has converged, which is '
        "where MLPClassifier stops: for more than ``n_iter_no_change`` epochs in a row "
        "the monitored loss or score has not been better by ``tol`` than the best of "
        "the cycle. An integer is a number of epochs, converged or not; the paper uses "
        "1, which re-initialises after each epoch.",
    ),
    "n_snapshots": Parameter(
        [_POSITIVE],
        "int",
        "Number of networks to keep, one at the end of each cycle. Their predictions "
        'are averaged. With ``reinit_every="plateau"`` training ends with the last of '
        "them; with an integer, the last ``n_snapshots`` are kept. 1 keeps a single "
        "network.",
    ),
    "reinit_until": Parameter(
        [_POSITIVE, None],
        "int",
        "Last epoch after which weights are re-initialised; None means no limit.",
    ),
    "hessian_samples": Parameter(
        [_POSITIVE, None],
        "int",
        "Number of training samples in the Hessian, drawn anew each time; None takes "
        "all.",
    ),
    "optimizer_state": Parameter(
        _names(OptimizerState),
        _one_of(OptimizerState),
        "Whether to keep the optimizer's state for the redrawn weights or to reset it "
        "to its start, which is zero for moments. ``solver`` or ``optimizer`` must "
        "hold it weight by weight, as Adam and SGD do; LBFGS and Adafactor do not.",
    ),
}
OF_THE_CALLBACK = {  # the estimators describe these themselves, or lack them
    "monitor": Parameter(
        [str],
        "str",
        "Column of the net's history to watch. A callback that writes it must come "
        'before this one. ``"auto"`` is ``"valid_loss"``, or ``"train_loss"`` if the '
        "net has no validation data; an integer ``reinit_every`` needs neither.",
    ),
    "lower_is_better": Parameter(
        ["boolean"], "bool", "Whether the column holds losses, not scores."
    ),
    "load_best": Parameter(
        ["boolean"],
        "bool",
        "Whether a cycle's snapshot is its best network by that column instead of its "
        "last one. The best is restored before the re-initialisation.",
    ),
    "tol": Parameter(
        [Interval(Real, 0, None, closed="left")],
        "float",
        "By how much an epoch must beat the cycle's best to count as an improvement.",
    ),
    "n_iter_no_change": Parameter(
        [_POSITIVE, Options(Real, {math.inf})],
        "int",
        "A plateau is reached after more than this many epochs in a row without "
        "improvement.",
    ),
    "random_state": Parameter(
        [Interval(Integral, 0, 2**63 - 1, closed="both"), None],
        "int",
        "Seed of all random draws; None takes one from the operating system.",
    ),
    "rows": Parameter(
        _names(Rows, None),
        f"{_one_of(Rows)} or None",
        "What the processes that train one net hold, if :mod:`torch.distributed` is "
        'initialised: all the same training samples (``"replicated"``), or each its '
        'own rows (``"sharded"``). With None, each process trains its own net.',
    ),
}
PARAMETER_CONSTRAINTS = {
    name: parameter.constraints for name, parameter in PARAMETERS.items()
}
CALLBACK_CONSTRAINTS = PARAMETER_CONSTRAINTS | {
    name: parameter.constraints for name, parameter in OF_THE_CALLBACK.items()
}


def document_parameters(further=OF_THE_CALLBACK, attributes=""):
    """Return a decorator that describes a class's parameters in its docstring.

    The marker %(parameters)s becomes one entry for each parameter of the signature, in
    its order: the method's hyperparameters and the `further` ones. Another marker,
    %(attributes)s, becomes `attributes`.
    """
    known = PARAMETERS | further

    def document(cls):
        parameters = signature(cls).parameters.items()
        entries = "\n".join(known[n].describe(n, p.default) for n, p in parameters)
        margin = re.search(r"( *)%\(parameters\)s", cls.__doc__)[1]
        for part, text in {"parameters": entries, "attributes": attributes}.items():
            text = indent(text.rstrip(), margin)
            cls.__doc__ = cls.__doc__.replace(f"{margin}%({part})s", text)
        return cls

    return document
