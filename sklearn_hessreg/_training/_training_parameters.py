"""Training parameters that both estimators share: constraints and descriptions."""

import math
from numbers import Integral, Real
from os import PathLike

import torch
from sklearn.utils._param_validation import Interval, Options, StrOptions

from sklearn_hessreg._reinit import Parameter
from sklearn_hessreg._state import FitCheckpoint
from sklearn_hessreg._training._mlp import ACTIVATIONS
from sklearn_hessreg._validation import SOLVERS

_BOOLEAN = ["boolean"]
_POSITIVE = Interval(Integral, 1, None, closed="left")
_NOT_NEGATIVE = Interval(Real, 0, None, closed="left")
_RATE = Interval(Real, 0, 1, closed="left")

TRAINING_PARAMETERS = {
    "hidden_layer_sizes": Parameter(
        ["array-like", _POSITIVE],
        "int or array-like of int",
        "Number of units in each hidden layer.",
    ),
    "activation": Parameter(
        [StrOptions(set(ACTIVATIONS))],
        "str",
        'Activation of the hidden layers: ``"relu"``, ``"tanh"``, '
        '``"logistic"``, ``"identity"``, ``"leaky_relu"``, ``"elu"``, '
        '``"selu"``, ``"gelu"``, ``"silu"`` or ``"mish"``. The first four are '
        "scikit-learn's, and the only ones :meth:`to_sklearn` can convert. The "
        "others are torch's, with its defaults. Their initial weights are drawn as "
        "for ReLU, times the gain that :func:`torch.nn.init.calculate_gain` has for "
        "leaky_relu and selu; the other four use the gain of relu, the square root "
        "of 2.",
    ),
    "solver": Parameter(
        [StrOptions(set(SOLVERS)), callable],
        '{"adam", "sgd", "lbfgs"} or optimizer class of torch',
        "The optimizer. A class is called with the parameters and "
        '``lr=learning_rate_init``. ``"lbfgs"`` is scipy\'s and uses all samples '
        "at once; see the notes of :class:`HessianRegularizedMLPClassifier`.",
    ),
    "alpha": Parameter(
        [_NOT_NEGATIVE],
        "float",
        "Strength of the L2 penalty on the weights. As in scikit-learn's MLPs, it is "
        "divided by twice the sum of the batch's sample weights. The penalty is not "
        "part of the Hessian.",
    ),
    "batch_size": Parameter(
        [StrOptions({"auto"}), _POSITIVE],
        'int or "auto"',
        'Samples per batch; ``"auto"`` is ``min(200, n_samples)``.',
    ),
    "learning_rate": Parameter(
        [StrOptions({"constant", "invscaling", "adaptive"})],
        '{"constant", "invscaling", "adaptive"}',
        'Learning rate schedule, only for ``solver="sgd"``. ``"invscaling"`` divides '
        '``learning_rate_init`` by ``(t_ + 1) ** power_t``. ``"adaptive"`` divides the '
        "rate by 5 each time training would stop; a new cycle starts at the initial "
        "rate.",
    ),
    "learning_rate_init": Parameter(
        [Interval(Real, 0, None, closed="neither")],
        "float",
        "The initial learning rate.",
    ),
    "power_t": Parameter(
        [_NOT_NEGATIVE], "float", 'Exponent of the ``"invscaling"`` schedule.'
    ),
    "max_iter": Parameter(
        [_POSITIVE],
        "int",
        "Maximum number of epochs, over all cycles together. A cycle that it cuts off "
        "takes part in predictions if it is the first or no worse than the worst "
        "snapshot.",
    ),
    "shuffle": Parameter(
        _BOOLEAN, "bool", "Whether to shuffle the samples in each epoch."
    ),
    "tol": Parameter(
        [_NOT_NEGATIVE],
        "float",
        "Smallest improvement of the training loss or the validation score that "
        "counts as an improvement.",
    ),
    "n_iter_no_change": Parameter(
        [_POSITIVE, Options(Real, {math.inf})],
        "int or inf",
        "A cycle (with ``k=0``, training) ends after more than this many epochs in a "
        "row without improvement on the best epoch of the cycle.",
    ),
    "early_stopping": Parameter(
        ["boolean", StrOptions({"auto"})],
        'bool or "auto"',
        "Whether to end cycles by a score on validation data (see ``scoring``) instead "
        "of the training loss, and to keep the network of each cycle's best epoch. "
        '``"auto"`` does so in ``fit`` if ``k`` is not 0 and either you pass '
        "validation data or ``validation_fraction * n_samples`` is at least 5. It "
        'never does with ``k=0``, in ``partial_fit`` or with ``solver="lbfgs"``, for '
        "which True has no effect either. The validation data are those passed to "
        "``fit``, or a split of the training data, stratified by class if each class "
        "has a sample for both parts. Scores are weighted by sample weights, the loss "
        "by class weights too. "
        'With ``reinit_every="plateau"`` the validation rows rotate. The first cycle '
        "holds out the rows that MLPClassifier would. The following cycles hold out "
        "the other rows in stratified folds, until each row was held out once, after "
        "about ``1 / validation_fraction`` cycles. Then the rows are split anew; this "
        "happens at once if a class has too few rows for the folds. So all rows are "
        "trained on, and scores are optimistic from the second cycle on, because the "
        "weights have seen these rows.",
    ),
    "scoring": Parameter(
        [str, callable, None],
        "str, callable or None",
        "The score on the validation data, which early stopping, cycles and snapshots "
        'go by. ``tol`` is in its units. ``"loss"`` is the loss as in ``loss_curve_`` '
        "but without the penalty and with its sign changed, so that higher is better. "
        "None is the accuracy, or R² for a regressor (averaged over several outputs). "
        "Otherwise pass the name of a scorer or a callable "
        "``scorer(estimator, X, y)``. The scorer gets the network in training as the "
        "estimator, and ``sample_weight`` too if the weights differ. Not used without "
        "validation data.",
    ),
    "validation_fraction": Parameter(
        [Interval(Real, 0, 1, closed="neither")],
        "float",
        "Share of the training data to split off for early stopping.",
    ),
    "oob_score": Parameter(
        _BOOLEAN,
        "bool",
        "Whether ``fit`` computes out-of-bag predictions, as a random forest does: "
        "each training row is predicted by the networks of the cycles that held it "
        "out. Requires ``early_stopping``. Two errors partly cancel: few networks "
        "predict a row, which lowers the score, and later cycles start from weights "
        "that have seen it, which raises it.",
    ),
    "momentum": Parameter(
        [Interval(Real, 0, 1, closed="both")], "float", 'Momentum of ``"sgd"``.'
    ),
    "nesterovs_momentum": Parameter(
        _BOOLEAN, "bool", 'Whether ``"sgd"`` uses Nesterov\'s momentum.'
    ),
    "beta_1": Parameter(
        [_RATE], "float", 'Decay rate of the first moments of ``"adam"``, in [0, 1).'
    ),
    "beta_2": Parameter(
        [_RATE], "float", 'Decay rate of the second moments of ``"adam"``, in [0, 1).'
    ),
    "epsilon": Parameter(
        [Interval(Real, 0, None, closed="neither")],
        "float",
        'Value for numerical stability in ``"adam"``.',
    ),
    "max_fun": Parameter(
        [_POSITIVE],
        "int",
        "Maximum number of loss evaluations, over all cycles together, for "
        '``"lbfgs"``. The iteration that reaches it is finished.',
    ),
    "dropout": Parameter(
        [_RATE],
        "float",
        "Probability of dropping the output of a hidden unit in training, in [0, 1).",
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
        "Seed of the initial weights, validation split, batches, dropout and "
        "re-initialisation. None takes a seed from the operating system. Global "
        "generators are never touched.",
    ),
    "device": Parameter(
        [str, torch.device],
        "str or torch.device",
        'Where to train; ``"auto"`` is CUDA if available, otherwise the CPU.',
    ),
    "skorch_callbacks": Parameter(
        [list, tuple, None],
        "list of skorch callbacks",
        "Additional callbacks for the net. ``fit`` builds new ones from the same "
        "parameters. These are not copied, so a live trial, a lock or a list stays the "
        "same object. A callback that stores a parameter under another name is used "
        "itself. The trained callbacks are in ``net_.callbacks_``. Among what they can "
        'monitor are ``"train_loss"`` and, with validation data, ``"valid_loss"`` and '
        '``"valid_acc"`` (``"valid_r2"`` for a regressor). skorch\'s EpochScoring is '
        "refused: it does not know the sample weights in the batches.",
    ),
    "distributed": Parameter(
        ["boolean"],
        "bool",
        "Whether to train one network on the rows of all processes for which "
        ":mod:`torch.distributed` is initialised. Each process calls ``fit`` or "
        "``partial_fit`` with its own rows, any number of them, and gets that network. "
        "If False, each process trains its own network. See the notes of "
        ":class:`HessianRegularizedMLPClassifier`.",
    ),
    "checkpoint": Parameter(
        [str, PathLike, FitCheckpoint, None],
        "str, path or FitCheckpoint",
        "File in which ``fit`` saves the state of training after every epoch. If a "
        "``fit`` is killed, call it again with the same parameters and data: it "
        "resumes from there and gives the bit-identical result. A file of another fit "
        "raises an error that names the difference. If you pass an existing folder, "
        "each fit gets its own file in it, as searches need. "
        "``FitCheckpoint(path, every=5)`` writes the file less often (with "
        '``solver="lbfgs"`` it is written at the end of each cycle). '
        "``FitCheckpoint(path, keep=True)`` keeps it when training has ended; the same "
        "``fit`` then returns at once. Never load a file from people you do not trust: "
        "it is a pickle.",
    ),
    "verbose": Parameter(["verbose"], "bool or int", "Print a line for each epoch."),
}
