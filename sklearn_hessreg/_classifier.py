"""HessianRegularizedMLPClassifier: labels, probabilities, export to scikit-learn."""

from collections.abc import Callable, Sequence
from functools import partial
from numbers import Real
from os import PathLike
from typing import Any, Literal, Self, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from sklearn.base import ClassifierMixin
from sklearn.ensemble import VotingClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import LabelBinarizer, LabelEncoder
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_hessreg._base import BaseHessianRegularizedMLP, is_stochastic
from sklearn_hessreg._check_labels import (
    check_classes,
    check_given_classes,
    check_labels,
    check_same_kind,
    encode,
    encode_validation,
    same_classes,
)
from sklearn_hessreg._fitted import ATTRIBUTES
from sklearn_hessreg._heads import Logistic, RobustLogistic, RobustSoftmax, Softmax
from sklearn_hessreg._label_quality import normalized_margin
from sklearn_hessreg._reinit import Parameter, document_parameters
from sklearn_hessreg._state import FitCheckpoint
from sklearn_hessreg._training import TRAINING_PARAMETERS
from sklearn_hessreg._typing import (
    Activation,
    Aggregation,
    ClassifierLoss,
    Curvature,
    Granularity,
    Importance,
    Initializer,
    LearningRate,
    MatrixLike,
    OptimizerState,
    Scope,
    Solver,
    available_if,
    fit_context,
)
from sklearn_hessreg._validation import (
    check_weights,
    drop_weightless,
    weight_by_class,
)

_OWN_PARAMETERS = {
    "loss": Parameter(
        [StrOptions(set(get_args(ClassifierLoss)))],
        '{"log_loss", "gce"}',
        "The loss to minimise: the cross-entropy, or the generalised cross-entropy "
        "[2]_, :math:`(1 - p^q) / q`, where p is the probability of the given label. "
        '``"gce"`` helps with many classes and many wrong labels, because labels that '
        "the network finds improbable pull less.",
    ),
    "class_weight": Parameter(
        [dict, StrOptions({"balanced"}), None],
        'dict or "balanced"',
        "Class weights, multiplied by the sample weights.",
    ),
    "gce_q": Parameter(
        [Interval(Real, 0, 1, closed="right")],
        "float",
        'The exponent q of ``loss="gce"``, in (0, 1]. The closer it is to 0, the '
        "closer the loss is to the cross-entropy. At 1 the loss is 1 - p, which takes "
        "the most epochs.",
    ),
}


@document_parameters(TRAINING_PARAMETERS | _OWN_PARAMETERS, ATTRIBUTES)
class HessianRegularizedMLPClassifier(ClassifierMixin, BaseHessianRegularizedMLP):
    r"""Multi-layer perceptron classifier regularised by exact Hessians.

    This is scikit-learn's MLPClassifier, trained in torch, with one addition [1]_:
    training runs in cycles. Where it would stop early, by the loss on validation data,
    the network is kept as a snapshot. The exact Hessian of the loss then gives each
    weight of the last ``n`` layers a score, the top ``k`` percent of the weights are
    re-initialised, and training continues until there are ``n_snapshots`` networks or
    ``max_iter`` epochs. Predictions are the mean of the snapshots' probabilities.
    Training that does not converge within ``max_iter`` epochs is never disturbed.

    With ``k=0`` and ``max_iter=200``, MLPClassifier's default, it follows MLPClassifier
    step by step: the same ``random_state`` gives the same weights up to rounding. With
    ``solver="lbfgs"`` this holds as long as rounding sends no line search another way.
    With ``early_stopping=True``, ``scoring=None`` matches MLPClassifier. Two things
    differ: the validation split is also stratified for more than two classes, and
    samples of weight zero are left out of the batches.

    The parameters come in groups. *Start here*: ``hidden_layer_sizes`` to
    ``random_state``. *Schedule*: ``reinit_every`` to ``validation_fraction``.
    *Research*: ``importance`` to ``aggregation``. *As scikit-learn*: ``solver`` to
    ``verbose``. *Training extras*: ``class_weight`` to ``checkpoint``.

    Parameters
    ----------
    %(parameters)s

    Attributes
    ----------
    %(attributes)s
    classes_ : ndarray of shape (n_classes,)
        The class labels; for an indicator matrix, its column numbers.
    oob_decision_function_ : ndarray of shape (n_samples, n_classes)
        With ``oob_score``: the mean probabilities of each training row under the
        networks that did not train on it in their cycle. NaN for rows that every
        network trained on, and for rows of weight zero.
    oob_score_ : float
        With ``oob_score``: the unweighted accuracy of these probabilities, over the
        rows that have them.
    n_outputs_ : int
        Number of logits: 1 for two classes, otherwise the number of classes or labels.
    out_activation_ : {"logistic", "softmax"}
        The function that turns logits into probabilities.
    net_ : skorch.NeuralNet
        The trained net. Its ``module_`` is the network of ``coefs_`` and returns
        logits.

    See Also
    --------
    HessianReinit : The method as a callback for any skorch net.
    hessian_scores : The scores of any module.
    sklearn.neural_network.MLPClassifier : The same network without the method.

    Notes
    -----
    The score of weight (i, j) of a layer is
    :math:`S_{ij} = \sum_{kl} |\partial^2 J / \partial W_{ij} \partial W_{kl}|`, where J
    is the weighted mean loss on the Hessian samples, in evaluation mode. The
    ``ceil(k / 100 * count)`` weights with the highest scores are redrawn at the start
    of an epoch, so all returned weights have been trained (in an interrupted epoch,
    only on the batches it finished).

    The same seed and number of threads give bit-identical models.

    *What is known.* On 43 real tables with 20 and 40 % of the training labels wrong it
    was ahead of MLPClassifier, a random forest and gradient boosting as they come, and
    level with ten networks trained apart with the same stopping; with clean labels it
    was level with MLPClassifier, the forest and the ten networks. A forest with
    ``min_samples_leaf=5`` was 0.01 ahead of it with wrong labels, level with
    ``loss="gce"``, and 0.01 behind both with clean ones (see the evidence page of the
    documentation). Redrawing random weights did as well as those of highest score.
    Where labels are wrong near a boundary between classes little was gained. Search
    ``k`` with 0 among the values, and ``importance``, whose ``"random"`` and
    ``"magnitude"`` tell whether the Hessian was needed.

    *Prediction* takes the time of one network per snapshot. ``n_snapshots=1`` keeps a
    single network; with ``reinit_every="plateau"`` training then ends without a
    re-initialisation.

    *L-BFGS.* With ``solver="lbfgs"`` an epoch is an iteration, and a cycle is one run
    of the optimizer, which starts without memory of the previous run. ``"plateau"`` is
    where the run has converged: no element of the gradient is above ``tol``, or there
    is no progress. An iteration in which the optimizer finds no step still counts.
    ``n_iter_no_change`` is not used. As in MLPClassifier, ``batch_size``, ``shuffle``,
    the learning rates and ``early_stopping`` are not used either, and there is no
    ``partial_fit``. ``dropout`` is refused. Scores on ``X_val`` are recorded.
    ``loss_curve_`` and ``best_loss_``, which MLPClassifier lacks with this solver, are
    available, and float32 stays float32. Training captured within a cycle continues
    with a new run; captured at the end of a cycle, it continues bit-exactly.

    *partial_fit* trains one epoch per call, and a cycle ends by the training loss.
    Predictions are the mean of the snapshots and the network in training. That network
    takes part if its loss is no worse than that of the worst snapshot, or if the
    snapshots come from ``fit`` with early stopping, whose scores are of another kind.

    *Several processes.* With ``distributed=True`` batches, validation data and Hessian
    samples are those of a single process that holds the rows of all ranks one after the
    other. The network is also that process's, up to rounding (except with ``dropout``,
    which each rank draws itself). ``X`` stays on its rank except for the Hessian
    samples; ``y`` and ``sample_weight`` go to all ranks. ``X_val`` and ``y_val`` are
    each rank's own, too. ``solver="lbfgs"``, ``checkpoint``, ``oob_score`` and a
    scorer in ``scoring`` are refused. A callback that ends or changes training must do
    so on all ranks.

    *Callbacks.* With scikit-learn 1.9 or newer, ``set_callbacks`` takes the callbacks
    of :mod:`sklearn.callback`. ``ProgressBar`` advances with every epoch, also inside
    searches and pipelines. ``ScoringMonitor`` scores after every epoch what would
    predict if training ended there: with early stopping, the cycle's best network so
    far. Callbacks get the data, labels and sample weights passed to ``fit``, including
    the validation split. A callback that returns True at the end of an epoch stops
    training.

    References
    ----------
    .. [1] Rahimi, Kodliuk, Benchekroun, "Using Hessians as a Regularization
       Technique", LOD 2020, doi:10.1007/978-3-030-64583-0_4.
    .. [2] Z. Zhang, M. Sabuncu, "Generalized Cross Entropy Loss for Training Deep
       Neural Networks with Noisy Labels", NeurIPS 2018, arXiv:1805.07836.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn_hessreg import HessianRegularizedMLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0)
    >>> clf = HessianRegularizedMLPClassifier(learning_rate_init=0.01, random_state=0)
    >>> clf.fit(X_train, y_train).score(X_test, y_test) > 0.9
    True
    >>> len(clf.snapshots_)
    10
    >>> clf.reinit_history_[0]["layer"], clf.reinit_history_[0]["count"]
    ('layers.0', 4480)
    """

    classes_: NDArray[Any]  # set by fit, for type checkers

    _parameter_constraints: dict = {
        **BaseHessianRegularizedMLP._parameter_constraints,
        **{name: p.constraints for name, p in _OWN_PARAMETERS.items()},
    }

    def __init__(
        self,
        hidden_layer_sizes: int | ArrayLike = (100,),
        activation: Activation = "relu",
        *,
        loss: ClassifierLoss = "log_loss",
        early_stopping: bool | Literal["auto"] = "auto",
        k: float = 70,
        n: int | None = None,
        n_snapshots: int = 10,
        max_iter: int = 1000,
        random_state: int | np.random.RandomState | None = None,
        reinit_every: int | Literal["plateau"] = "plateau",
        reinit_until: int | None = None,
        n_iter_no_change: float = 10,
        tol: float = 1e-4,
        scoring: str | Callable[..., float] | None = "loss",
        validation_fraction: float = 0.1,
        importance: Importance = "hessian",
        curvature: Curvature = "per_sample",
        hessian_samples: int | None = 256,
        optimizer_state: OptimizerState = "reset",
        initializer: Initializer = "xavier_uniform",
        granularity: Granularity = "weight",
        scope: Scope = "layer",
        aggregation: Aggregation = "mean",
        solver: Solver = "adam",
        alpha: float = 1e-4,
        batch_size: int | Literal["auto"] = "auto",
        learning_rate: LearningRate = "constant",
        learning_rate_init: float = 1e-3,
        power_t: float = 0.5,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        max_fun: int = 15000,
        shuffle: bool = True,
        warm_start: bool = False,
        verbose: bool | int = 0,
        class_weight: dict[Any, float] | Literal["balanced"] | None = None,
        gce_q: float = 0.5,
        dropout: float = 0.0,
        device: str | torch.device = "auto",
        skorch_callbacks: Sequence[Any] | None = None,
        distributed: bool = False,
        oob_score: bool = False,
        checkpoint: str | PathLike[str] | FitCheckpoint | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.loss = loss
        self.early_stopping = early_stopping
        self.k = k
        self.n = n
        self.n_snapshots = n_snapshots
        self.max_iter = max_iter
        self.random_state = random_state
        self.reinit_every = reinit_every
        self.reinit_until = reinit_until
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.scoring = scoring
        self.validation_fraction = validation_fraction
        self.importance = importance
        self.curvature = curvature
        self.hessian_samples = hessian_samples
        self.optimizer_state = optimizer_state
        self.initializer = initializer
        self.granularity = granularity
        self.scope = scope
        self.aggregation = aggregation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.max_fun = max_fun
        self.shuffle = shuffle
        self.warm_start = warm_start
        self.verbose = verbose
        self.class_weight = class_weight
        self.gce_q = gce_q
        self.dropout = dropout
        self.device = device
        self.skorch_callbacks = skorch_callbacks
        self.distributed = distributed
        self.oob_score = oob_score
        self.checkpoint = checkpoint

    @available_if(is_stochastic)
    # resolve_parameters validates later calls too, unless the user switched that off
    @fit_context(prefer_skip_nested_validation=False)
    def partial_fit(
        self,
        X: MatrixLike,
        y: MatrixLike,
        sample_weight: ArrayLike | None = None,
        classes: ArrayLike | None = None,
    ) -> Self:
        """Train one more epoch on the given data.

        Each call counts as one epoch. From the second call on it starts with a
        re-initialisation if ``reinit_every`` says so, with the Hessian on this
        call's data. As in MLPClassifier, the optimizer continues from the previous
        call, including its learning rate and moments.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training data.
        y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
            Class labels, or an indicator matrix. Not all classes need to occur.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative sample weights.
        classes : array-like of shape (n_classes,), default=None
            All classes across all calls, at least two; required in the first call. For
            an indicator matrix, ``numpy.arange(n_labels)``.

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
        learn = partial(self._learn_given_classes, classes)
        return self._fit(X, y, sample_weight, (None,) * 3, learn, incremental=True)

    def predict(self, X: MatrixLike) -> NDArray[Any]:
        """Predict the class of each sample.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_labels)
            The predicted labels; an indicator matrix is sparse if that in ``fit`` was.
        """
        return self._decode(self._predict(X, "decide"))

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
            data. With several labels per sample, the probability of each label.
        """
        return self._predict(X, "probabilities")

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
        return self._predict(X, "log_probabilities")

    def label_quality(self, X: MatrixLike, y: MatrixLike) -> NDArray[Any]:
        """Score given labels: the lower, the more likely a label is wrong.

        The score is cleanlab's normalised margin [1]_ under the probabilities of
        ``predict_proba``, the mean over the snapshots: the probability of the given
        label minus that of the most probable other label, plus one, divided by two. Use
        it to rank rows for review. You can rank the training rows too: by default,
        training stops before the networks memorise wrong labels. To count wrong labels,
        see ``oob_score``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The samples, from the training data or new.
        y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
            Their given labels, of classes in ``classes_``.

        Returns
        -------
        quality : ndarray of shape (n_samples,) or (n_samples, n_labels)
            From 0, surely wrong, to 1. Below 0.5 another label is more probable. For an
            indicator matrix, the probability of each given zero or one.

        Raises
        ------
        ValueError
            If X or y cannot be used, or y has a class that is not in ``classes_``.

        References
        ----------
        .. [1] C. Northcutt, L. Jiang, I. Chuang, "Confident Learning: Estimating
           Uncertainty in Dataset Labels", JAIR 2021, doi:10.1613/jair.1.12125.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.datasets import load_iris
        >>> from sklearn_hessreg import HessianRegularizedMLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> y[::50] = [1, 2, 0]  # the labels of three rows are wrong
        >>> clf = HessianRegularizedMLPClassifier(learning_rate_init=0.01)
        >>> worst = np.argsort(clf.fit(X, y).label_quality(X, y))[:3]
        >>> print(sorted(worst.tolist()))
        [0, 50, 100]
        """
        check_is_fitted(self)
        X, y = self._check_data(X, y, continuing=True)
        return normalized_margin(self._encode(y), self._predict(X, "probabilities"))

    def to_sklearn(self) -> MLPClassifier | VotingClassifier:
        """Convert to a scikit-learn estimator, which predicts without torch.

        Returns
        -------
        clf : MLPClassifier or VotingClassifier
            A fitted estimator with the same predictions up to rounding: an
            MLPClassifier or, for several snapshots, a soft VotingClassifier of them.

        Raises
        ------
        ValueError
            If several snapshots predict several labels, which VotingClassifier cannot,
            or if scikit-learn lacks the activation.

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
        snapshots = self.snapshots_
        if len(snapshots) == 1:
            return self._to_mlp(snapshots[0], self.classes_)
        if self._is_multilabel():
            raise ValueError(
                f"{len(snapshots)} snapshots of several labels have no counterpart in "
                "scikit-learn, whose VotingClassifier knows one label. Train with "
                "n_snapshots=1, or take the networks from snapshots_."
            )
        codes = np.arange(len(self.classes_))  # what its members predict
        networks = [self._to_mlp(snapshot, codes) for snapshot in snapshots]
        # the only options that skl2onnx converts
        options = {"voting": "soft", "flatten_transform": False}
        voting = self._vote(VotingClassifier, networks, **options)
        voting.le_ = LabelEncoder().fit(self.classes_)
        voting.classes_ = voting.le_.classes_
        return voting

    def _to_mlp(self, snapshot, classes):
        """Convert one network to an MLPClassifier that predicts these classes."""
        converted = self._to_sklearn(MLPClassifier, snapshot)
        converted.classes_ = classes
        converted._label_binarizer = self._make_label_binarizer(classes)
        return converted

    def _check_y(self, y, continuing):
        """Return labels or an indicator matrix, of the same kind as the net's."""
        y = check_labels(y)
        if continuing:
            check_same_kind(y, self._is_multilabel())
        return y

    def _learn_targets(self, y, continuing):
        """Learn the classes from all labels."""
        classes = check_classes(y)
        if continuing and not same_classes(classes, self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the "
                f"previous call to fit. Previously got {self.classes_}, `y` has "
                f"{classes}. Use the same classes, or warm_start=False."
            )
        self.classes_ = classes

    def _learn_given_classes(self, classes, y, continuing):
        """Learn the classes passed to the first call of partial_fit; refuse others."""
        if not continuing:
            if classes is None:
                raise ValueError(
                    "classes must be passed on the first call to partial_fit. Pass all "
                    "labels that may ever occur."
                )
            self.classes_ = check_given_classes(classes)
        elif classes is not None and not same_classes(
            check_given_classes(classes), self.classes_
        ):
            raise ValueError(
                f"classes={np.unique(classes).tolist()} is not the same as on the last "
                f"call to partial_fit, {self.classes_.tolist()}. Leave it out."
            )

    def _encode(self, y):
        """Turn labels into indices of the classes."""
        return encode(y, self.classes_)

    def _decode(self, y):
        """Turn indices of the classes, or an indicator matrix, into labels."""
        if self._is_multilabel():
            return self._make_label_binarizer(self.classes_).inverse_transform(y)
        return self.classes_[y]

    def _check_rows(self, X, y, sample_weight, all_at_once=False):
        """Weight the rows and drop those of weight zero."""
        X, y, *weights = drop_weightless(X, y, *self._row_weights(X, y, sample_weight))
        if all_at_once and y.ndim == 1:
            check_classes(self.classes_[y])
        return X, y, *weights

    def _row_weights(self, X, y, sample_weight):
        """Return the row weights with and without class weights."""
        return check_weights(sample_weight, X, self.class_weight, y, self.classes_)

    def _set_oob(self, X, y, kept):
        """Set the out-of-bag attributes."""
        proba, is_predicted = self._predict_held_out(X, kept, "probabilities")
        decided = self.net_.spec.head.decide_by(torch.from_numpy(proba[is_predicted]))
        right = self._encode(y[is_predicted]) == decided.numpy()
        self.oob_decision_function_ = proba
        self.oob_score_ = float(right.reshape(len(right), -1).all(axis=1).mean())

    def _weight_of_classes(self, y, sample_weight):
        """Return the class weights as a tuple, or None if all are one."""
        if self.class_weight is None:
            return None
        return tuple(
            weight_by_class(self.class_weight, y, sample_weight, self.classes_).tolist()
        )

    def _encode_validation(self, y, dtype, y_val):
        """Check the user's own validation labels against the training labels."""
        return encode_validation(y_val, self.classes_, multilabel=y.ndim == 2)

    def _output(self, y):
        """Return the head and the number of outputs."""
        q = float(self.gce_q) if self.loss == "gce" else None
        if y.ndim == 1 and len(self.classes_) > 2:
            return RobustSoftmax(q) if q else Softmax(), len(self.classes_)
        n_labels = 1 if y.ndim == 1 else y.shape[1]
        head = RobustLogistic(n_labels, q) if q else Logistic(n_labels)
        return head, n_labels

    def _is_multilabel(self):
        """Return whether each output is a label of its own."""
        return self.out_activation_ == "logistic" and self.n_outputs_ > 1

    def _make_label_binarizer(self, classes):
        """Build the binarizer that turns MLPClassifier's outputs into labels."""
        if not self._is_multilabel():
            return LabelBinarizer().fit(classes)
        y = np.eye(self.n_outputs_, dtype=int)
        return LabelBinarizer().fit(csr_array(y) if self._sparse_targets else y)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
