"""The parameters of training that both estimators share: allowed values, and words."""

import math
from numbers import Integral, Real
from os import PathLike

import torch
from sklearn.utils._param_validation import Interval, Options, StrOptions

from sklearn_hessreg._reinit import Parameter
from sklearn_hessreg._state import FitCheckpoint
from sklearn_hessreg._training._mlp import ACTIVATIONS

_BOOLEAN = ["boolean"]
_POSITIVE = Interval(Integral, 1, None, closed="left")
_NOT_NEGATIVE = Interval(Real, 0, None, closed="left")
_RATE = Interval(Real, 0, 1, closed="left")

TRAINING_PARAMETERS = {
    "hidden_layer_sizes": Parameter(
        ["array-like", _POSITIVE],
        "int or array-like of int",
        "Units of each hidden layer.",
    ),
    "activation": Parameter(
        [StrOptions(set(ACTIVATIONS))],
        "str",
        'Activation of the hidden layers: ``"relu"``, ``"tanh"``, '
        '``"logistic"``, ``"identity"``, ``"leaky_relu"``, ``"elu"``, '
        '``"selu"``, ``"gelu"``, ``"silu"`` or ``"mish"``. scikit-learn has '
        "the first four, to which :meth:`to_sklearn` is limited; the others "
        "are torch's, with its defaults. Their initial weights are drawn as "
        "for ReLU, times the gain that :func:`torch.nn.init.calculate_gain` "
        "has for leaky_relu and selu, for the other four that of relu, the "
        "square root of 2.",
    ),
    "solver": Parameter(
        [StrOptions({"adam", "sgd", "lbfgs"}), callable],
        '{"adam", "sgd", "lbfgs"} or optimizer class of torch',
        "The optimizer. A class is called with the parameters and "
        '``lr=learning_rate_init``. ``"lbfgs"`` is scipy\'s, on all samples '
        "at once, see the notes of "
        ":class:`HessianRegularizedMLPClassifier`.",
    ),
    "alpha": Parameter(
        [_NOT_NEGATIVE],
        "float",
        "Strength of the L2 penalty on the weights; as in scikit-learn's "
        "MLPs it is divided by twice the sum of the batch's sample weights. "
        "Not part of the Hessian.",
    ),
    "batch_size": Parameter(
        [StrOptions({"auto"}), _POSITIVE],
        'int or "auto"',
        'Samples in a batch; ``"auto"`` is ``min(200, n_samples)``.',
    ),
    "learning_rate": Parameter(
        [StrOptions({"constant", "invscaling", "adaptive"})],
        '{"constant", "invscaling", "adaptive"}',
        'Schedule, only for ``solver="sgd"``: ``"invscaling"`` divides '
        '``learning_rate_init`` by ``t_ ** power_t``, ``"adaptive"`` '
        "divides it by 5 each time training would stop; a new cycle begins "
        "with the initial one.",
    ),
    "learning_rate_init": Parameter(
        [Interval(Real, 0, None, closed="neither")],
        "float",
        "The initial learning rate.",
    ),
    "power_t": Parameter(
        [_NOT_NEGATIVE],
        "float",
        'Exponent of ``"invscaling"``.',
    ),
    "max_iter": Parameter(
        [_POSITIVE],
        "int",
        "Epochs at most, of all cycles together. A cycle that it cuts off "
        "takes part in the predictions if it is the first, or no worse than "
        "the worst snapshot.",
    ),
    "shuffle": Parameter(
        _BOOLEAN,
        "bool",
        "Whether to shuffle the samples in each epoch.",
    ),
    "tol": Parameter(
        [_NOT_NEGATIVE],
        "float",
        "Improvement of the training loss or the validation score below "
        "which an epoch counts as none.",
    ),
    "n_iter_no_change": Parameter(
        [_POSITIVE, Options(Real, {math.inf})],
        "int or inf",
        "A cycle, or with ``k=0`` training, ends after more than this many "
        "epochs in a row that did not improve on the best one of the cycle.",
    ),
    "early_stopping": Parameter(
        ["boolean", StrOptions({"auto"})],
        'bool or "auto"',
        "Whether to end cycles by a score of validation data, see "
        "``scoring``, instead of the training loss, and keep of each cycle "
        'the network of its best epoch. ``"auto"`` does so in ``fit`` where '
        "``k`` is not 0 and there are validation data of your own, or "
        "``validation_fraction * n_samples`` is at least 5; it never does "
        "with ``k=0``, in ``partial_fit``, or (nor does True) with "
        '``solver="lbfgs"``. The data are those passed to '
        "``fit``, or a split of the training data, of classes stratified "
        "where each has a sample for both parts. Scores are weighted by "
        "sample weights, the loss by class weights too. Under "
        '``reinit_every="plateau"`` the validation rows rotate: those of the first '
        "cycle are MLPClassifier's, the following cycles take the other rows in "
        "stratified folds, until each row was held out once, after about "
        "``1 / validation_fraction`` cycles; then, or at once where a class has too "
        "few rows for the folds, the rows are split anew. So all rows "
        "are trained on, and scores are optimistic from the second cycle on, whose "
        "weights have seen these rows.",
    ),
    "scoring": Parameter(
        [str, callable, None],
        "str, callable or None",
        "What is measured on the validation data, and so what early "
        "stopping, cycles and snapshots go by; ``tol`` is in its units. "
        '``"loss"`` is the loss as '
        "``loss_curve_`` has it, without the penalty and with its sign "
        "changed, so that more is better; None the accuracy, of a regressor "
        "R² (of several outputs their mean); else the name of a scorer, or a "
        "callable ``scorer(estimator, X, y)``, which gets ``sample_weight`` "
        "too where the weights differ, and the network in training as the "
        "estimator. Without validation data it is not used.",
    ),
    "validation_fraction": Parameter(
        [Interval(Real, 0, 1, closed="neither")],
        "float",
        "Share of the training data in that split.",
    ),
    "oob_score": Parameter(
        _BOOLEAN,
        "bool",
        "Whether ``fit`` computes out-of-bag predictions, as a random forest does: "
        "each training row is predicted by the networks of the cycles that held it "
        "out. It needs ``early_stopping``. The estimate is optimistic, because later "
        "cycles begin with weights that have seen the row.",
    ),
    "momentum": Parameter(
        [Interval(Real, 0, 1, closed="both")],
        "float",
        'Momentum of ``"sgd"``.',
    ),
    "nesterovs_momentum": Parameter(
        _BOOLEAN,
        "bool",
        'Whether ``"sgd"`` uses Nesterov\'s momentum.',
    ),
    "beta_1": Parameter(
        [_RATE],
        "float",
        'Decay rate of the first moments of ``"adam"``, in [0, 1).',
    ),
    "beta_2": Parameter(
        [_RATE],
        "float",
        'Decay rate of the second moments of ``"adam"``, in [0, 1).',
    ),
    "epsilon": Parameter(
        [Interval(Real, 0, None, closed="neither")],
        "float",
        'Numerical stability of ``"adam"``.',
    ),
    "max_fun": Parameter(
        [_POSITIVE],
        "int",
        "Evaluations of the loss at most, of all cycles together, for "
        '``"lbfgs"``; the iteration in which they are reached is finished.',
    ),
    "dropout": Parameter(
        [_RATE],
        "float",
        "Probability to drop the output of a hidden unit in training, in [0, 1).",
    ),
    "warm_start": Parameter(
        _BOOLEAN,
        "bool",
        "Whether ``fit`` continues from the weights of the previous call, "
        "with a new optimizer and new snapshots.",
    ),
    "random_state": Parameter(
        ["random_state"],
        "int, RandomState instance or None",
        "Seed of initial weights, validation split, batches, dropout and "
        "re-initialisation. None takes one from the operating system; "
        "global generators are never touched.",
    ),
    "device": Parameter(
        [str, torch.device],
        "str or torch.device",
        'Where to train; ``"auto"`` is CUDA where there is one, else the CPU.',
    ),
    "skorch_callbacks": Parameter(
        [list, tuple, None],
        "list of skorch callbacks",
        "Further callbacks of the net. ``fit`` makes them anew of the same "
        "parameters, which are not copied, so a live trial, a lock or a "
        "list stays what it is; those that keep a parameter under another "
        "name take part themselves. Trained ones are in "
        "``net_.callbacks_``. Among what they can monitor are "
        '``"train_loss"`` and, with validation data, ``"valid_loss"`` and '
        '``"valid_acc"`` (of a regressor ``"valid_r2"``). skorch\'s '
        "EpochScoring is refused: it does not know the sample weights in "
        "the batches.",
    ),
    "distributed": Parameter(
        ["boolean"],
        "bool",
        "Whether the processes for which :mod:`torch.distributed` is initialised "
        "train one network on the rows of all of them. Each process calls ``fit`` or "
        "``partial_fit`` with its own rows, of any number, and gets that network. If "
        "False, each process trains a network of its own. See the notes of "
        ":class:`HessianRegularizedMLPClassifier`.",
    ),
    "checkpoint": Parameter(
        [str, PathLike, FitCheckpoint, None],
        "str, path or FitCheckpoint",
        "File in which ``fit`` keeps the state of its training after every epoch, so "
        "that a ``fit`` that was killed, called again with the same parameters and "
        "data, resumes from there and ends with the same bits. A file of another fit "
        "is an error that names the difference. In an existing folder each fit has a "
        "file of its own, as searches need. ``FitCheckpoint(path, every=5)`` writes it "
        'less often (with ``solver="lbfgs"`` it is written at the end of each cycle), '
        "``FitCheckpoint(path, keep=True)`` leaves it when training has ended: the "
        "same ``fit`` then returns at once. Never load a file from people you do not "
        "trust: it is a pickle.",
    ),
    "verbose": Parameter(
        ["verbose"],
        "bool or int",
        "Print a line for each epoch.",
    ),
}
