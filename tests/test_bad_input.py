"""Bad input: a clear error before anything is trained, and nothing changed."""

from functools import partial

import numpy as np
import pytest
import torch
from settings import small
from sklearn.exceptions import NotFittedError

from sklearn_hessreg import HessianRegularizedMLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
Y = np.arange(40) % 2
NAN, INF = X.copy(), X.copy()
NAN[3, 1], INF[3, 1] = np.nan, np.inf

PARAMETERS = {
    "k": (101, r"'k'.*\[0.*100.*101"),
    "n": (3, r"n=3.*2 with hidden_layer_sizes.*1 to 2"),
    "initializer": ("glorot", r"'initializer'.*'glorot'"),
    "granularity": ("column", r"'granularity'.*'column'"),
    "reinit_every": ("auto", r"'reinit_every'.*'plateau'.*int.*'auto'"),
    "n_snapshots": (0, r"'n_snapshots'.*\[1, inf\).*Got 0"),
    "scope": ("net", r"'scope'.*'net'"),
    "importance": ("gradient", r"'importance'.*'gradient'"),
    "curvature": ("gauss", r"'curvature'.*'gauss'"),
    "hidden_layer_sizes": ((5, 0), r"> 0, got \[5, 0\]"),
    "solver": (dict, r"solver=<class 'dict'>.*'adam', 'sgd'"),
    "scoring": ("lossy", r"scoring='lossy'.*Did you mean 'loss'"),
    "device": ("cuda:99", r"device='cuda:99'.*'cpu'"),
    "learning_rate_init": (0, r"'learning_rate_init'.*Got 0"),
    "dropout": (1.0, r"'dropout'.*Got 1.0"),
    "validation_fraction": (1.0, r"'validation_fraction'.*Got 1.0"),
    "class_weight": ({0: -1.0, 1: 1.0}, "Negative values.*class_weight"),
    "skorch_callbacks": ([3], "skorch_callbacks has 3.*skorch.callbacks.Callback"),
}
DATA = {
    "NaN in X": ((NAN, Y), {}, "NaN"),
    "infinity in X": ((INF, Y), {}, "infinity"),
    "continuous labels": ((X, X[:, 0]), {}, "Unknown label type: continuous"),
    "several classes in several columns": (
        (X, np.stack([Y, 2 * Y], 1)),
        {},
        r"\(40, 2\) and other values than 0 and 1.*MultiOutputClassifier",
    ),
    "labels of another kind in y_val": (
        (X, np.stack([Y, 1 - Y], 1)),
        {"X_val": X, "y_val": Y},
        "y_val is a vector of labels.*trained on an indicator matrix",
    ),
    "other labels in y_val": (
        (X, np.stack([Y, 1 - Y], 1)),
        {"X_val": X, "y_val": np.stack([Y, Y, Y], 1)},
        r"y_val has 3 columns.*\[0, 1\]",
    ),
    "one class": ((X, np.zeros(40)), {}, r"one class.*\[0.0\].*2 classes"),
    "lengths": ((X, Y[:30]), {}, "40, 30"),
    "negative weights": ((X, Y, np.r_[-1, np.ones(39)]), {}, "Negative values"),
    "all-zero weights": ((X, Y, np.zeros(40)), {}, "zero"),
    "too few weights": ((X, Y, np.ones(3)), {}, r"\(3,\)"),
    "one class with weight": ((X, Y, Y.astype(float)), {}, "one class"),
    "mixed labels": (
        (X, np.array(["a", 1] * 20, dtype=object)),
        {},
        r"mix values of the types \['int', 'str'\]",
    ),
    "labels of bytes": (
        (X, np.array([b"a", b"b"] * 20)),
        {},
        "type bytes_, which is not supported.*strings",
    ),
    "infinite sum of weights": (
        (X, Y, np.full(40, 1e308)),
        {},
        "sum of the sample weights.*inf.*Scale",
    ),
    "X_val alone": ((X, Y), {"X_val": X}, "y_val is missing"),
    "other features in X_val": (
        (X, Y),
        {"X_val": X[:, :2], "y_val": Y},
        "X_val.*2 features.*3",
    ),
    "other classes in y_val": ((X, Y), {"X_val": X, "y_val": Y + 1}, r"y_val.*\[2\]"),
    "lengths in validation": ((X, Y), {"X_val": X, "y_val": Y[:7]}, "40, 7"),
    "NaN in X_val": ((X, Y), {"X_val": NAN, "y_val": Y}, "X_val.*NaN"),
}
make = partial(small, hidden_layer_sizes=(5,), batch_size="auto", max_iter=2)


def fitted_and_its_state():
    clf = make().fit(X, Y)
    return clf, {**vars(clf), "proba": clf.predict_proba(X)}


def assert_unchanged(clf, state):
    assert np.array_equal(clf.predict_proba(X), state.pop("proba"))
    assert vars(clf).keys() == state.keys()
    assert clf.net_ is state["net_"]
    assert clf.n_features_in_ == 3


@pytest.mark.parametrize("size", [True, 3.0, -1, [3]])
def test_layer_size_that_is_no_positive_integer_is_named(size):
    with pytest.raises(ValueError, match="integers > 0, got"):
        make(hidden_layer_sizes=[5, size]).fit(X, Y)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("name", PARAMETERS)
def test_bad_parameter_names_value_and_what_is_allowed(name, method):
    value, message = PARAMETERS[name]
    clf = make(**{name: value})
    arguments = {"classes": [0, 1]} if method == "partial_fit" else {}
    with pytest.raises(ValueError, match=message):
        getattr(clf, method)(X, Y, **arguments)
    assert not hasattr(clf, "net_")
    assert not hasattr(clf, "n_features_in_")


@pytest.mark.parametrize("case", DATA)
def test_bad_data_is_refused_and_the_fitted_model_kept(case):
    clf, state = fitted_and_its_state()
    arguments, options, message = DATA[case]
    with pytest.raises(ValueError, match=message):
        clf.fit(*arguments, **options)
    assert_unchanged(clf, state)


# scikit-learn's check for infinity adds up all of X first
@pytest.mark.filterwarnings("ignore:invalid value encountered in reduce")
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("method", ["fit", "partial_fit", "warm start"])
def test_diverging_loss_stops_with_an_error_and_the_model_is_kept(method, solver):
    clf, state = fitted_and_its_state()
    clf.set_params(k=0, solver=solver, warm_start=method == "warm start")
    train = clf.partial_fit if method == "partial_fit" else clf.fit
    with pytest.raises(ValueError, match=r"loss.*in epoch.*Lower the learning rate"):
        train(1.7e308 * np.sign(X), Y)
    assert_unchanged(clf, state)


def test_weights_that_overflow_in_the_last_step_are_refused():
    clf = make(solver="sgd", learning_rate_init=1e308, max_iter=1)
    with pytest.raises(ValueError, match=r"weights.*in epoch 1.*1e\+308"):
        clf.fit(1e3 * X, Y)
    assert not hasattr(clf, "net_")


def test_solver_may_change_between_calls_of_partial_fit():
    clf = make(solver="adam").partial_fit(X, Y, classes=[0, 1])
    clf.set_params(solver="sgd").partial_fit(X, Y)
    assert isinstance(clf.net_.optimizer_, torch.optim.SGD)


def test_unknown_class_in_partial_fit_is_named():
    clf = make().partial_fit(X, Y, classes=[0, 1])
    before = clf.predict_proba(X)
    with pytest.raises(ValueError, match=r"\[7\].*known classes \[0, 1\]"):
        clf.partial_fit(X, np.full(40, 7))
    assert np.array_equal(clf.predict_proba(X), before)


def test_partial_fit_wants_the_classes_first_and_only_the_same_later():
    with pytest.raises(ValueError, match="must be passed on the first call"):
        make().partial_fit(X, Y)
    clf = make().partial_fit(X, Y, classes=[0, 1])
    with pytest.raises(ValueError, match=r"\[0, 1, 2\] is not the same.*\[0, 1\]"):
        clf.partial_fit(X, Y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="only one class"):
        make().partial_fit(X, Y, classes=[1])


@pytest.mark.parametrize(
    "options", [{"early_stopping": True}, {"class_weight": "balanced"}]
)
def test_partial_fit_refuses_what_needs_all_data(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"partial_fit does not support {name}"):
        make(**options).partial_fit(X, Y, classes=[0, 1])


def test_warm_start_refuses_other_classes():
    clf = make(warm_start=True).fit(X, Y)
    with pytest.raises(ValueError, match=r"\[0 1\].*\[0 5\]"):
        clf.fit(X, 5 * Y)


def test_validation_split_that_is_too_small_says_so():
    with pytest.raises(ValueError, match=r"validation_fraction=0.01.*X_val"):
        make(early_stopping=True, validation_fraction=0.01).fit(X, Y)


def test_unfitted_estimator_says_so():
    with pytest.raises(NotFittedError):
        make().predict(X)
    with pytest.raises(NotFittedError):
        make().to_sklearn()
    with pytest.raises(AttributeError, match="coefs_"):
        make().coefs_  # noqa: B018


def test_batch_larger_than_the_data_is_clipped_with_a_warning():
    with pytest.warns(UserWarning, match=r"batch_size=64.*40"):
        make(batch_size=64).fit(X, Y)


def test_class_weight_for_several_labels_is_refused():
    clf = HessianRegularizedMLPClassifier(class_weight="balanced", max_iter=1)
    with pytest.raises(ValueError, match=r"class_weight='balanced'.*sample_weight"):
        clf.fit(X, np.stack([Y, 1 - Y], 1))


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (np.stack([Y, 1 - Y], 1), Y, "y is a vector.*trained on an indicator matrix"),
        (Y, np.stack([Y, 1 - Y], 1), "y is an indicator matrix.*trained on a vector"),
        (np.stack([Y, 1 - Y], 1), np.stack([Y, Y, Y], 1), "y has 3 columns"),
    ],
)
def test_another_kind_of_targets_in_a_later_call_is_refused(first, second, message):
    clf = HessianRegularizedMLPClassifier(random_state=0)
    before = clf.partial_fit(X, first, classes=[0, 1]).predict_proba(X)
    with pytest.raises(ValueError, match=message):
        clf.partial_fit(X, second)
    assert np.array_equal(clf.predict_proba(X), before)


def test_classes_of_several_labels_are_the_numbers_of_the_columns():
    clf = HessianRegularizedMLPClassifier()
    with pytest.raises(ValueError, match=r"2 columns.*\['a', 'b'\].*arange"):
        clf.partial_fit(X, np.stack([Y, 1 - Y], 1), classes=["a", "b"])


def test_the_name_of_an_optimizer_of_torchs_is_answered_with_its_class():
    clf = HessianRegularizedMLPClassifier(solver="adamw")
    with pytest.raises(ValueError, match=r"solver='adamw'.*torch\.optim\.AdamW"):
        clf.fit(X, Y)


@pytest.mark.parametrize("options", [{"early_stopping": False}, {"k": 0}], ids=str)
def test_a_scorer_that_has_nothing_to_score_is_warned_of(options):
    clf = HessianRegularizedMLPClassifier(max_iter=1, scoring="accuracy", **options)
    with pytest.warns(match="scoring='accuracy' is not used.*early_stopping=True"):
        clf.fit(X, Y)
