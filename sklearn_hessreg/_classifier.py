"""HessianRegularizedMLPClassifier: the scikit-learn estimator around the skorch net."""

import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from copy import deepcopy
from numbers import Integral, Real
from threading import RLock
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array, issparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data
from skorch import NeuralNet
from skorch.history import History

from sklearn_hessreg import _validation as _data
from sklearn_hessreg._build import build_net, warn_if_expensive
from sklearn_hessreg._compat import CallbackSupportMixin
from sklearn_hessreg._reinit import PARAMETER_CONSTRAINTS
from sklearn_hessreg._training._module import ACTIVATIONS, init_glorot_uniform
from sklearn_hessreg._training._net import classify, log_probabilities, probabilities
from sklearn_hessreg._training._run import run
from sklearn_hessreg._training._sklearn_callbacks import fit_task, init_context
from sklearn_hessreg._typing import (
    Activation,
    Aggregation,
    Criterion,
    Curvature,
    Granularity,
    Initializer,
    LearningRate,
    MatrixLike,
    OptimizerState,
    Scope,
    Solver,
    fit_context,
)

# What a fitted MLPClassifier has, under the same names.
_SKLEARN_ATTRIBUTES = (
    *("classes_", "n_features_in_", "feature_names_in_", "coefs_", "intercepts_"),
    *("n_layers_", "n_outputs_", "out_activation_", "n_iter_", "t_"),
    *("loss_", "loss_curve_", "best_loss_"),
    *("validation_scores_", "best_validation_score_"),
)

# torch's generator is one for the process, so fits in threads take turns
_TORCH_GENERATOR = RLock()
_NUMPY_DTYPES = {torch.float32: np.dtype("f4"), torch.float64: np.dtype("f8")}


class HessianRegularizedMLPClassifier(
    CallbackSupportMixin, ClassifierMixin, BaseEstimator
):
    r"""Multi-layer perceptron classifier regularised by exact Hessians.

    scikit-learn's MLPClassifier, trained in torch, with one addition: between epochs
    the exact Hessian of the loss of the last ``n`` layers is reduced to one score per
    weight and the top ``k`` percent of the weights are re-initialised [1]_. With
    ``k=0`` and ``solver="adam"`` or ``"sgd"`` it follows MLPClassifier step by step:
    the same ``random_state`` gives the same weights up to rounding. Two things differ:
    the validation split is stratified for more than two classes too, and samples of
    weight zero are left out of the batches.

    The method helps where training long enough would fit wrong labels. It needs many
    updates between two re-initialisations to recover, which ``reinit_every="auto"``
    gives it. On clean labels it brings little or costs accuracy.

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of int, default=(100,)
        Units of each hidden layer.
    activation : {"relu", "tanh", "logistic", "identity"}, default="relu"
        Activation of the hidden layers.
    k : float, default=10
        Percent of the weights (or units) of each of the last ``n`` layers to
        re-initialise, from 0 to 100; 0 switches the method off.
    n : int, default=1
        How many of the last weight layers take part, from 1 to
        ``len(hidden_layer_sizes) + 1``.
    aggregation : {"mean", "sum"}, default="mean"
        How the absolute Hessian is reduced to one score per weight. Inside a layer both
        select the same weights; they differ under ``scope="global"``.
    initializer : str or callable, default="xavier_uniform"
        What re-initialised weights are drawn from: ``"zeros"``, ``"uniform"``,
        ``"normal"``, ``"trunc_normal"``, ``"xavier_uniform"``, ``"xavier_normal"``,
        ``"kaiming_uniform"``, ``"kaiming_normal"``, ``"orthogonal"`` as in
        :mod:`torch.nn.init`, or a picklable callable ``f(tensor, generator=...)`` that
        fills a tensor of the layer's shape in place or returns one, such as
        ``functools.partial(torch.nn.init.normal_, std=0.1)``.
    granularity : {"weight", "unit"}, default="weight"
        Re-initialise single weights, or whole units with their biases set to zero.
    scope : {"layer", "global"}, default="layer"
        Take the top k percent in each layer, or of the ``n`` layers together.
    curvature : {"mean_loss", "per_sample"}, default="mean_loss"
        Absolute value of the mean loss's Hessian (the paper's), or mean of the samples'
        absolute Hessians: also exact, and far cheaper for wide hidden layers.
    criterion : {"hessian", "magnitude", "random"}, default="hessian"
        What ranks the weights: the method, or one of its controls.
    reinit_every : int or "auto", default="auto"
        Epochs of training from one re-initialisation to the next. ``"auto"`` waits for
        100 batches at least: with fewer updates a network does not recover. Nor does
        ``fit`` re-initialise where fewer are left until ``max_iter`` (a warm start
        does). The paper re-initialises after every epoch, 1.
    reinit_until : int, default=None
        Last epoch after which weights are re-initialised; None sets no end.
    hessian_samples : int, default=256
        Training samples in the Hessian, drawn anew each time; None takes all.
    optimizer_state : {"keep", "reset"}, default="keep"
        Whether the moments of the redrawn weights are kept or set to zero.
    solver : {"adam", "sgd"} or subclass of torch.optim.Optimizer, default="adam"
        The optimizer. A class is called with the parameters and
        ``lr=learning_rate_init``.
    alpha : float, default=1e-4
        Strength of the L2 penalty on the weights; as in MLPClassifier it is divided by
        twice the sum of the batch's sample weights. Not part of the Hessian.
    batch_size : int or "auto", default="auto"
        Samples in a batch; ``"auto"`` is ``min(200, n_samples)``.
    learning_rate : {"constant", "invscaling", "adaptive"}, default="constant"
        Schedule, only for ``solver="sgd"``: ``"invscaling"`` divides
        ``learning_rate_init`` by ``t_ ** power_t``, ``"adaptive"`` divides it by 5
        each time training would stop.
    learning_rate_init : float, default=1e-3
        The initial learning rate.
    power_t : float, default=0.5
        Exponent of ``"invscaling"``.
    max_iter : int, default=200
        Epochs at most.
    shuffle : bool, default=True
        Whether to shuffle the samples in each epoch.
    tol : float, default=1e-4
        Improvement of loss or validation accuracy below which an epoch counts as none.
    n_iter_no_change : int or inf, default=10
        Training stops after more than this many epochs in a row without improvement.
    early_stopping : bool, default=False
        Whether to stop on the accuracy on validation data, and return to the weights of
        its best epoch. The data are a stratified split of the training data, or those
        passed to ``fit``.
    validation_fraction : float, default=0.1
        Share of the training data in that split.
    momentum : float, default=0.9
        Momentum of ``"sgd"``.
    nesterovs_momentum : bool, default=True
        Whether ``"sgd"`` uses Nesterov's momentum.
    beta_1, beta_2 : float, default=0.9 and 0.999
        Decay rates of the moments of ``"adam"``, in [0, 1).
    epsilon : float, default=1e-8
        Numerical stability of ``"adam"``.
    dropout : float, default=0.0
        Probability to drop the output of a hidden unit in training, in [0, 1).
    class_weight : dict or "balanced", default=None
        Weights of the classes, multiplied with the sample weights.
    warm_start : bool, default=False
        Whether ``fit`` continues from the weights of the previous call, with a new
        optimizer.
    random_state : int, RandomState instance or None, default=None
        Seed of initial weights, validation split, batches, dropout and
        re-initialisation. None takes one from the operating system; global generators
        are never touched.
    device : str or torch.device, default="auto"
        Where to train; ``"auto"`` is CUDA where there is one, else the CPU.
    skorch_callbacks : list of skorch callbacks, default=None
        Further callbacks of the net. They are cloned; trained ones are in
        ``net_.callbacks_``. Among what they can monitor are ``"train_loss"`` and, with
        validation data, ``"valid_loss"`` and ``"valid_acc"``. skorch's EpochScoring
        cannot be used: it does not know the sample weights in the batches.
    verbose : bool or int, default=0
        Print a line for each epoch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The class labels; of an indicator matrix the numbers of its columns.
    coefs_ : list of ndarray of shape (in, out)
        Weights of each layer.
    intercepts_ : list of ndarray of shape (out,)
        Biases of each layer.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if ``X`` had names that are all strings.
    n_iter_ : int
        Epochs run by the last call of ``fit`` or ``partial_fit``.
    t_ : int
        Training samples seen by the optimizer.
    loss_ : float
        Penalised training loss of the last epoch, averaged over its batches.
    loss_curve_ : list of float
        That loss after each epoch.
    best_loss_ : float or None
        The lowest of them; None with ``early_stopping``.
    validation_scores_ : list of float or None
        Accuracy on the validation data after each epoch, if there were any.
    best_validation_score_ : float or None
        The highest of them.
    n_layers_ : int
        Number of layers, the inputs included.
    n_outputs_ : int
        Number of logits: 1 for two classes, else that of the classes or labels.
    out_activation_ : {"logistic", "softmax"}
        What turns logits into probabilities.
    net_ : skorch.NeuralNet
        The trained net; its ``module_`` returns logits.
    history_ : skorch.history.History
        One row per epoch, with batches.
    reinit_history_ : list of dict
        One record per re-initialisation and layer, see :class:`HessianReinit`;
        ``layers.0`` is the layer of ``coefs_[0]``.

    See Also
    --------
    HessianReinit : The method as a callback for any skorch net.
    hessian_scores : The scores of any module.
    sklearn.neural_network.MLPClassifier : The same network without the method.

    Notes
    -----
    The score of weight (i, j) of a layer is
    :math:`S_{ij} = \sum_{kl} |\partial^2 J / \partial W_{ij} \partial W_{kl}|`, with J
    the weighted mean cross-entropy on the Hessian samples, in evaluation mode. The
    ``ceil(k / 100 * count)`` weights of highest score are redrawn at the start of an
    epoch, so that the returned weights have all been trained (those of an interrupted
    epoch on its finished batches only).

    Equal seeds and thread counts give equal models to the bit.

    *Recommended settings*, from ten seeds on four data sets (the evidence page of the
    documentation). Clean labels: ``k=0``; the default changes little. Labels of which
    many may be wrong, and long training: all weight layers but the first (``n=3`` with
    three hidden layers), ``curvature="per_sample"``, ``k=30``. If an epoch has 57
    batches or more, also try ``k=10, reinit_every=1``, the paper's schedule; with fewer
    it can keep the network from learning. Every data set wants its own dose: search
    ``k`` with 0 among the values, ``n`` and ``criterion``, since random or the largest
    weights often did as well. ``early_stopping`` is a strong rival; both can be used.
    Averaging networks of one training gained another 0.02 to 0.1 (an example in the
    gallery). ``partial_fit`` on a stream whose labels change their meaning: ``n=3,
    reinit_every=1, optimizer_state="reset"``.

    *Callbacks.* With scikit-learn 1.9 or newer ``set_callbacks`` takes the callbacks of
    :mod:`sklearn.callback`: ``ProgressBar`` advances with every epoch, inside of
    searches and pipelines too, and ``ScoringMonitor`` scores the model of every epoch,
    also under ``early_stopping``. They are given the data, labels and sample weights
    that ``fit`` was called with, the validation split included. One that returns True
    at the end of an epoch stops the training.

    References
    ----------
    .. [1] Rahimi, Kodliuk, Benchekroun, "Using Hessians as a Regularization
       Technique", LOD 2020, doi:10.1007/978-3-030-64583-0_4.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn_hessreg import HessianRegularizedMLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0)
    >>> clf = HessianRegularizedMLPClassifier(
    ...     k=5, batch_size=32, n_iter_no_change=3, random_state=0
    ... )
    >>> clf.fit(X_train, y_train).score(X_test, y_test) > 0.9
    True
    >>> clf.reinit_history_[0]["layer"], clf.reinit_history_[0]["count"]
    ('layers.1', 50)
    """

    # set by fit, for type checkers
    classes_: NDArray[Any]
    n_features_in_: int
    feature_names_in_: NDArray[Any]
    n_iter_: int
    t_: int
    loss_: float
    loss_curve_: list[float]
    best_loss_: float | None
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    n_layers_: int
    n_outputs_: int
    out_activation_: Literal["logistic", "softmax"]
    net_: NeuralNet

    _parameter_constraints: dict = {
        **PARAMETER_CONSTRAINTS,
        "hidden_layer_sizes": [
            "array-like",
            Interval(Integral, 1, None, closed="left"),
        ],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "solver": [StrOptions({"adam", "sgd"}), callable],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
        ],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_iter_no_change": [
            Interval(Integral, 1, None, closed="left"),
            Options(Real, {np.inf}),
        ],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "device": [str, torch.device],
        "skorch_callbacks": [list, tuple, None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        hidden_layer_sizes: int | ArrayLike = (100,),
        activation: Activation = "relu",
        *,
        k: float = 10,
        n: int = 1,
        aggregation: Aggregation = "mean",
        initializer: Initializer = "xavier_uniform",
        granularity: Granularity = "weight",
        scope: Scope = "layer",
        curvature: Curvature = "mean_loss",
        criterion: Criterion = "hessian",
        reinit_every: int | Literal["auto"] = "auto",
        reinit_until: int | None = None,
        hessian_samples: int | None = 256,
        optimizer_state: OptimizerState = "keep",
        solver: Solver = "adam",
        alpha: float = 1e-4,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: LearningRate = "constant",
        learning_rate_init: float = 1e-3,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        tol: float = 1e-4,
        n_iter_no_change: float = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        dropout: float = 0.0,
        class_weight: dict[Any, float] | Literal["balanced"] | None = None,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        device: str | torch.device = "auto",
        skorch_callbacks: Sequence[Any] | None = None,
        verbose: bool | int = 0,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.k = k
        self.n = n
        self.aggregation = aggregation
        self.initializer = initializer
        self.granularity = granularity
        self.scope = scope
        self.curvature = curvature
        self.criterion = criterion
        self.reinit_every = reinit_every
        self.reinit_until = reinit_until
        self.hessian_samples = hessian_samples
        self.optimizer_state = optimizer_state
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.dropout = dropout
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.random_state = random_state
        self.device = device
        self.skorch_callbacks = skorch_callbacks
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: MatrixLike,
        y: MatrixLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: MatrixLike | None = None,
        y_val: MatrixLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Train the classifier.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data; float32 and float64 are kept, all else becomes float64.
        y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
            Class labels: numbers, strings or booleans; or, of several labels for each
            sample, an indicator matrix of zeros and ones.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the samples, in the loss and in its Hessian. A
            sample of weight zero counts as absent.
        X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
            Validation data of your own. With ``early_stopping`` it takes the place of
            the split; without, its accuracy is only recorded.
        y_val : {array-like, sparse matrix} of shape (n_val,) or (n_val, n_labels), \
                default=None
            Labels of ``X_val``.
        sample_weight_val : array-like of shape (n_val,), default=None
            Weights of ``X_val``.

        Returns
        -------
        self : HessianRegularizedMLPClassifier
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter or an argument cannot be used, before anything is trained; if
            the loss or a weight becomes NaN or infinite in training. The estimator is
            then what it was before the call.
        """
        # before the attributes are noted: after an error they are torn down from it
        context = init_context(self, "fit", self.max_iter)
        task = fit_task(self, context, X, y, sample_weight)
        with _unchanged_on_error(self), task as told:
            continuing = self.warm_start and hasattr(self, "net_")
            X, y = self._check_data(X, y, continuing)
            classes = _data.check_classes(y)
            if continuing and not np.array_equal(classes, self.classes_):
                raise ValueError(
                    f"warm_start=True needs the classes of the previous fit, "
                    f"{self.classes_.tolist()}, but y has {classes.tolist()}. "
                    "Use the same classes, or warm_start=False."
                )
            self.classes_ = classes
            X, y, weight = self._check_rows(X, y, sample_weight)
            if y.ndim == 1:  # rows of weight zero may have been dropped
                _data.check_classes(self.classes_[y])
            valid = None
            if any(part is not None for part in (X_val, y_val, sample_weight_val)):
                valid = _data.check_validation_set(
                    self, X_val, y_val, sample_weight_val, X.dtype, y.ndim == 2
                )
            return self._train(X, y, weight, valid, continuing, told)

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: MatrixLike,
        y: MatrixLike,
        sample_weight: ArrayLike | None = None,
        classes: ArrayLike | None = None,
    ) -> Self:
        """Train one more epoch on the given data.

        From the second call on an epoch starts with a re-initialisation where
        ``reinit_every`` says so, each call counting as one epoch; its Hessian is taken
        on this call's data. As in MLPClassifier the optimizer goes on from the
        previous call, its learning rate and moments included.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data.
        y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
            Class labels; not all classes need be there. Or an indicator matrix.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the samples.
        classes : array-like of shape (n_classes,), default=None
            All classes of all calls; required in the first call. Of an indicator matrix
            ``numpy.arange(n_labels)``.

        Returns
        -------
        self : HessianRegularizedMLPClassifier
            The trained estimator.

        Raises
        ------
        ValueError
            As in ``fit``; also if ``classes`` is missing in the first call or differs
            in a later one, if ``y`` has an unknown class, and with
            ``early_stopping=True`` or ``class_weight="balanced"``, which need all data
            at once.
        """
        context = init_context(self, "partial_fit", 1)
        task = fit_task(self, context, X, y, sample_weight)
        with _unchanged_on_error(self), task as told:
            self._check_partial_fit(classes)
            continuing = hasattr(self, "net_")
            X, y = self._check_data(X, y, continuing)
            if not continuing:
                self.classes_ = _data.check_classes(np.asarray(classes))
            X, y, weight = self._check_rows(X, y, sample_weight)
            return self._train(X, y, weight, None, continuing, told, incremental=True)

    def predict(self, X: MatrixLike) -> NDArray[Any]:
        """Predict the class of each sample.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_labels)
            The predicted labels; a sparse matrix if the indicator matrix was one.
        """
        y = self._predict(X, classify)
        if self._is_multilabel():
            return self._make_label_binarizer().inverse_transform(y)
        return self.classes_[y]

    def predict_proba(self, X: MatrixLike) -> NDArray[Any]:
        """Predict the probability of each class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
            Probabilities in the order of ``classes_``, in the dtype of the training
            data; of each label by itself if there are several for a sample.
        """
        return self._predict(X, probabilities)

    def predict_log_proba(self, X: MatrixLike) -> NDArray[Any]:
        """Predict the logarithm of each class's probability.

        It is computed from the logits, so it stays finite where ``predict_proba``
        rounds to zero.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        log_proba : ndarray of shape (n_samples, n_classes)
            Natural logarithms in the order of ``classes_``.
        """
        return self._predict(X, log_probabilities)

    def to_sklearn(self) -> MLPClassifier:
        """Convert to a fitted MLPClassifier, which predicts without torch.

        Returns
        -------
        clf : sklearn.neural_network.MLPClassifier
            An estimator of equal weights, so of equal predictions up to rounding.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn_hessreg import HessianRegularizedMLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> clf = HessianRegularizedMLPClassifier(tol=0.1, random_state=0).fit(X, y)
        >>> list(clf.to_sklearn().predict(X)) == list(clf.predict(X))
        True
        """
        check_is_fitted(self)
        shared = MLPClassifier().get_params().keys() & self.get_params().keys()
        params = {name: getattr(self, name) for name in shared}
        if not isinstance(self.solver, str):
            del params["solver"]
        clf = MLPClassifier(**params)
        for name in _SKLEARN_ATTRIBUTES:
            if hasattr(self, name):
                setattr(clf, name, getattr(self, name))
        clf._label_binarizer = self._make_label_binarizer()
        clf._no_improvement_count = 0  # what its partial_fit starts from
        return clf

    @property
    def coefs_(self) -> list[NDArray[Any]]:
        """Weights of each layer, as arrays of shape (in, out)."""
        layers = _fitted(self, "coefs_").module_.layers
        return [layer.weight.detach().cpu().numpy().T.copy() for layer in layers]

    @property
    def intercepts_(self) -> list[NDArray[Any]]:
        """Biases of each layer, as arrays of shape (out,)."""
        layers = _fitted(self, "intercepts_").module_.layers
        return [layer.bias.detach().cpu().numpy().copy() for layer in layers]

    @property
    def history_(self) -> History:
        """The history of the skorch net: one row per epoch."""
        return _fitted(self, "history_").history

    @property
    def reinit_history_(self) -> list[dict[str, Any]]:
        """One record per event and layer, see HessianReinit."""
        callbacks = dict(_fitted(self, "reinit_history_").callbacks_)
        return callbacks["hessian_reinit"].reinit_history_

    def _check_data(self, X, y, continuing):
        """Validate parameters, data and the kind of labels, in this order."""
        _data.check_parameters(self)
        if continuing:
            _data.check_same_layers(self)
        dtype = (np.float64, np.float32)
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse="csr",
            dtype=self._dtype() if continuing else dtype,
            multi_output=True,
            reset=not continuing,
        )
        if not continuing:
            self._sparse_labels = issparse(y)
        y = _data.check_labels(y)
        if continuing:
            _data.check_same_kind(y, self._is_multilabel())
        return X, y

    def _is_multilabel(self):
        """Tell whether each output is a label of its own."""
        return self.out_activation_ == "logistic" and self.n_outputs_ > 1

    def _make_label_binarizer(self):
        """Make what turns MLPClassifier's outputs into labels."""
        if not self._is_multilabel():
            return LabelBinarizer().fit(self.classes_)
        y = np.eye(self.n_outputs_, dtype=int)
        return LabelBinarizer().fit(csr_array(y) if self._sparse_labels else y)

    def _check_rows(self, X, y, sample_weight):
        """Encode the labels, weight the rows and drop those of weight zero."""
        y = _data.encode(y, self.classes_)
        weight = _data.check_weights(
            sample_weight, self.class_weight, X, y, self.classes_
        )
        return _data.drop_weightless(X, y, weight)

    def _check_partial_fit(self, classes):
        """Refuse settings and classes that partial_fit cannot work with."""
        for name, value in (("early_stopping", True), ("class_weight", "balanced")):
            if getattr(self, name) == value:
                raise ValueError(
                    f"partial_fit does not support {name}={value!r}, which needs all "
                    "data at once. Use fit, or another value."
                )
        if not hasattr(self, "net_"):
            if classes is None:
                raise ValueError(
                    "classes must be passed on the first call to partial_fit. Pass all "
                    "labels that may ever occur."
                )
        elif classes is not None and not np.array_equal(
            np.unique(classes), self.classes_
        ):
            raise ValueError(
                f"classes={np.unique(classes).tolist()} is not the same as on the last "
                f"call to partial_fit, {self.classes_.tolist()}. Leave it out."
            )

    def _dtype(self):
        """Look up the numpy dtype of the fitted weights."""
        return _NUMPY_DTYPES[self.net_.module__dtype]

    def _train(self, X, y, weight, valid, continuing, told, incremental=False):
        """Train a net and, when all went well, publish it with its results."""
        random_state = _random_state(self.random_state)
        # drawn from a copy, so that all other draws are those of MLPClassifier
        seed = int(deepcopy(random_state).randint(2**31 - 1))
        device = _data.check_device(self.device)
        cuda = [device] if device.type == "cuda" else []
        with _TORCH_GENERATOR, torch.random.fork_rng(cuda):
            torch.manual_seed(seed)
            net = build_net(self, y.ndim == 2, X.dtype, device, seed, random_state)
            if continuing:
                net.continue_from(self.net_, keep_optimizer=incremental)
            else:
                init_glorot_uniform(net.module_, self.activation, random_state)
            train = (X, y, weight)
            if valid is None and self.early_stopping:
                train, valid = _data.split_validation(
                    *train, self.validation_fraction, random_state
                )
            if not continuing:
                warn_if_expensive(self, net.module_, len(train[1]))
            torch.manual_seed(seed + len(net.history))  # new dropout masks in each call
            epochs = 1 if incremental else self.max_iter
            n_iter = run(net, train, valid, self.batch_size, epochs, told)
        self._publish(net, n_iter)
        if n_iter == self.max_iter and not incremental and not net.stop_training_:
            warnings.warn(
                f"Maximum iterations ({self.max_iter}) reached and the training has "
                "not converged yet. Increase max_iter, or tol.",
                ConvergenceWarning,
                stacklevel=4,
            )
        return self

    def _publish(self, net, n_iter):
        """Set the fitted attributes from a trained net."""
        convergence = dict(net.callbacks_)["convergence"]
        self.net_ = net
        self.n_iter_ = n_iter
        self.t_ = convergence.t_
        self.n_outputs_ = net.module_.layers[-1].out_features
        self.n_layers_ = len(net.module_.layers) + 1
        self.out_activation_ = net.out_activation
        self.loss_curve_ = list(net.history[:, "train_loss"])
        self.loss_ = self.loss_curve_[-1]
        self.best_loss_ = None if self.early_stopping else convergence.best_loss_
        self.validation_scores_ = convergence.validation_scores_ or None
        self.best_validation_score_ = None
        if self.validation_scores_:
            self.best_validation_score_ = convergence.best_validation_score_

    def _predict(self, X, function):
        """Run the net on validated data, and a function on the logits of each batch."""
        check_is_fitted(self)
        X = validate_data(
            self, X, accept_sparse="csr", dtype=self._dtype(), reset=False
        )
        return self.net_.predict_by_batch(
            X, lambda logits: function(logits, self.out_activation_).numpy()
        )

    def __sklearn_is_fitted__(self):
        return hasattr(self, "net_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.classifier_tags.multi_label = True
        return tags


def _fitted(estimator, name):
    """Return the net of a fitted estimator; unfitted, it lacks the attribute."""
    if not hasattr(estimator, "net_"):
        raise AttributeError(
            f"{type(estimator).__name__} has no attribute {name!r} before fit."
        )
    return estimator.net_


@contextmanager
def _unchanged_on_error(estimator):
    """Give an estimator its attributes back if fitting it fails."""
    attributes = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(attributes)
        raise


def _random_state(random_state):
    """Return a RandomState; for None a fresh one, never numpy's global one."""
    if random_state is None:
        return np.random.RandomState()
    return check_random_state(random_state)
