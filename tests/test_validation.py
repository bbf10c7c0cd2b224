"""What data and parameters are taken for, and what is said of those that are not."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from scipy.sparse import csr_array, csr_matrix
from settings import PLAIN
from sklearn import config_context
from sklearn.neural_network import MLPClassifier

from sklearn_hessreg import HessianRegularizedMLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
INDICATORS = (X > 0).astype(int)
Y = np.arange(60) % 3


def make(**options):
    options = {**PLAIN, "hidden_layer_sizes": (5,), "random_state": 0, **options}
    return HessianRegularizedMLPClassifier(**{"max_iter": 2, **options})


INDICATORS_OF_OTHER_VALUES = {
    "0 and 2": 2 * INDICATORS,
    "0 and -1": -INDICATORS,
    "0.0 and 3.0": 3.0 * INDICATORS,
    "sparse 0 and 7": csr_array(7 * INDICATORS),
    "sparse matrix of 0 and 7": csr_matrix(7 * INDICATORS),
    "booleans": INDICATORS.astype(bool),
}


@pytest.mark.parametrize("case", INDICATORS_OF_OTHER_VALUES)
def test_every_nonzero_of_an_indicator_matrix_counts_as_one(case):
    options = {"hidden_layer_sizes": (5,), "max_iter": 3, "random_state": 0}
    theirs = MLPClassifier(**options).fit(X, INDICATORS_OF_OTHER_VALUES[case])
    ours = HessianRegularizedMLPClassifier(k=0, **options)
    ours.fit(X, INDICATORS_OF_OTHER_VALUES[case])
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-12)


@pytest.mark.parametrize("low", [-1, 1])
@pytest.mark.parametrize("name", ["y", "y_val"])
def test_indicator_matrix_without_zeros_is_refused_and_its_values_named(name, low):
    values = np.where(INDICATORS, 2, low)
    targets = {"X_val": X, "y": INDICATORS, "y_val": INDICATORS, name: values}
    with pytest.raises(ValueError, match=rf"{name} has .*\[{low}, 2\].*{name} == 2"):
        make().fit(X, **targets)


STRINGS = np.array(["10"] * 60)


@pytest.mark.parametrize("count", [3, 20])
@pytest.mark.parametrize("strings", [STRINGS, STRINGS.astype(object)])
def test_string_labels_beside_classes_of_numbers_are_refused(strings, count):
    with pytest.raises(ValueError, match=r"y has strings.*'10'.*classes are numbers"):
        make().partial_fit(X, strings, classes=range(count))


def test_numbers_beside_classes_of_strings_are_refused():
    clf = make().partial_fit(X, STRINGS, classes=["10", "11"])
    with pytest.raises(ValueError, match=r"y has numbers.*10.*classes are strings"):
        clf.partial_fit(X, np.full(60, 10))


@pytest.mark.parametrize(("y", "y_val"), [(Y, Y.astype(str)), (Y.astype(str), Y)])
def test_validation_labels_of_another_kind_are_refused(y, y_val):
    with pytest.raises(ValueError, match=r"y_val has \w+.*known classes are \w+"):
        make().fit(X, y, X_val=X, y_val=y_val)


@pytest.mark.parametrize(
    ("classes", "again"), [([0, 1, 2], ["0", "1", "2"]), (["0", "1"], [0, 1])]
)
def test_classes_of_another_kind_in_a_later_call_are_refused(classes, again):
    y = np.array(classes)[np.arange(60) % len(classes)]
    clf = make().partial_fit(X, y, classes=classes)
    with pytest.raises(ValueError, match="is not the same as on the last call"):
        clf.partial_fit(X, y, classes=again)


def test_warm_start_refuses_classes_of_another_kind():
    clf = make(warm_start=True).fit(X, Y)
    with pytest.raises(ValueError, match=r"\[0 1 2\].*\['0' '1' '2'\]"):
        clf.fit(X, Y.astype(str))


@pytest.mark.parametrize("dtype", [float, np.uint8, np.int8, object])
def test_equal_labels_of_another_dtype_are_the_same(dtype):
    y = Y.astype(str).astype(object) if dtype is object else Y.astype(dtype)
    known = Y.astype(str) if dtype is object else Y
    expected = make().partial_fit(X, known, classes=np.unique(known))
    clf = make().partial_fit(X, y, classes=np.unique(known))
    assert np.array_equal(clf.predict_proba(X), expected.predict_proba(X))


def test_large_labels_that_differ_in_float64_only_by_rounding_are_told_apart():
    classes = np.array([2**60, 2**60 + 1], dtype=np.uint64)
    y = np.full(60, 2**60 + 1, dtype=np.int64)
    clf = make(solver="sgd", learning_rate_init=1.0).partial_fit(X, y, classes=classes)
    assert (clf.predict(X) == classes[1]).all()


@pytest.mark.parametrize(
    "classes", [range(3), (2, 1, 0), [0.0, 1.0, 2.0], np.array([[0], [1], [2]])]
)
def test_classes_may_be_any_vector_or_a_column(classes):
    clf = make().partial_fit(X[:1], Y[:1], classes=classes)
    assert clf.classes_.tolist() == [0, 1, 2]


BAD_CLASSES = {
    "set": ({0, 1, 2}, r"classes=\{0, 1, 2\} is not allowed"),
    "number": (3, "classes=3 is not allowed"),
    "string": ("abc", "classes='abc' is not allowed"),
    "list of one array": ([np.arange(3)], r"has the shape \(1, 3\)"),
    "rows": ([[0, 1], [2, 3]], r"has the shape \(2, 2\)"),
    "ragged": ([[0], [1, 2]], r"classes=\[\[0\], \[1, 2\]\] cannot be used"),
    "no dimension": (np.array(3), r"classes=array\(3\) cannot be used"),
    "three dimensions": (np.arange(3).reshape(3, 1, 1), r"has the shape \(3, 1, 1\)"),
    "empty": ([], "classes=.*cannot be used"),
    "NaN": ([0, np.nan], "classes=.*cannot be used.*NaN"),
}


@pytest.mark.parametrize("case", BAD_CLASSES)
@pytest.mark.parametrize("first", [True, False])
def test_classes_that_are_no_vector_are_refused_saying_what_is_allowed(case, first):
    classes, message = BAD_CLASSES[case]
    clf = make() if first else make().partial_fit(X, Y, classes=range(3))
    with pytest.raises(ValueError, match=f"{message}.*1-d array-like of at least two"):
        clf.partial_fit(X, Y, classes=classes)


def test_classes_that_are_continuous_are_refused():
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        make().partial_fit(X, Y, classes=[0.5, 1.5])


SCALARS_OF_NUMPY = {
    "momentum": {"momentum": np.float64(0.5)},
    "momentum in float32": {"momentum": np.float32(0.3)},
    "nesterovs_momentum": {"nesterovs_momentum": np.False_},
    "batch_size": {"batch_size": np.int16(20)},
    "n": {"n": np.uint8(1), "importance": "magnitude", "reinit_every": np.int8(1)},
    "n_snapshots": {"n_snapshots": np.uint8(2), "reinit_every": 1, "max_iter": 5},
    "cycles": {
        "n_snapshots": np.int8(3),
        "max_iter": 9,
        "n_iter_no_change": np.int8(1),
    },
    "max_iter": {"max_iter": np.uint8(100), "batch_size": 30, "tol": 0.0},
    "hidden_layer_sizes": {"hidden_layer_sizes": np.array([4, 3], dtype=np.uint8)},
    "hidden size": {"hidden_layer_sizes": np.int8(4)},
    "betas": {"solver": "adam", "beta_1": np.float32(0.5), "beta_2": np.float64(0.9)},
    "solver and device": {"solver": np.str_("adam"), "device": np.str_("cpu")},
    "dropout": {"dropout": np.float16(0.5)},
    "alpha": {"alpha": np.longdouble(0.1), "learning_rate_init": np.float32(0.1)},
    "hessian_samples": {"hessian_samples": np.uint8(9), "k": np.float32(30)},
    "seed": {"random_state": np.uint8(3)},
    "flags": {"shuffle": np.False_, "early_stopping": np.True_, "verbose": np.False_},
}


def as_python(value):
    if isinstance(value, np.longdouble):
        return float(value)
    return value.tolist() if hasattr(value, "tolist") else value


@pytest.mark.parametrize("case", SCALARS_OF_NUMPY)
def test_scalars_of_numpy_train_as_the_same_values_of_python_do(case):
    theirs = SCALARS_OF_NUMPY[case]
    ours = {name: as_python(value) for name, value in theirs.items()}
    options = {"solver": "sgd", "n_iter_no_change": 100, "tol": 10.0}
    first = make(**{**options, **theirs}).fit(X, Y)
    second = make(**{**options, **ours}).fit(X, Y)
    assert np.array_equal(first.predict_proba(X), second.predict_proba(X))
    events = [
        [(r["epoch"], r["count"]) for r in clf.reinit_history_]
        for clf in (first, second)
    ]
    assert events[0] == events[1]


def test_parameters_stay_as_they_were_given():
    sizes, n = np.array([4, 3]), np.uint8(2)
    clf = make(hidden_layer_sizes=sizes, n=n).fit(X, Y)
    assert clf.hidden_layer_sizes is sizes
    assert clf.n is n


NONSENSE = {
    "alpha": (-1, r"'alpha'.*\[0.*-1"),
    "learning_rate": ("foo", "'learning_rate'.*'foo'"),
    "solver": ("foo", "'solver'.*'foo'"),
    "activation": ("foo", "'activation'.*'foo'"),
    "k": (-1, "'k'.*-1"),
    "n": (3, "n=3.*1 to 2"),
    "dropout": (np.nan, "'dropout'.*nan"),
    "hidden_layer_sizes": (0, "hidden_layer_sizes"),
    "random_state": ("foo", "'random_state'.*'foo'"),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_set_between_calls_of_partial_fit_is_refused(name):
    value, message = NONSENSE[name]
    clf = make().partial_fit(X, Y, classes=range(3))
    before = clf.predict_proba(X)
    with pytest.raises(ValueError, match=message):
        clf.set_params(**{name: value}).partial_fit(X, Y)
    assert np.array_equal(clf.predict_proba(X), before)


def test_parameter_validation_can_be_switched_off_for_later_calls_too():
    clf = make().partial_fit(X, Y, classes=range(3))
    with config_context(skip_parameter_validation=True):
        clf.set_params(power_t="unused").partial_fit(X, Y)
    assert len(clf.loss_curve_) == 2
    with pytest.raises(ValueError, match="power_t"):
        clf.partial_fit(X, Y)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("activation", "tanh", "activation cannot change from 'relu' to 'tanh'"),
        ("hidden_layer_sizes", 6, r"hidden_layer_sizes.*\(5,\) to \(6,\)"),
    ],
)
def test_what_the_net_is_built_with_cannot_change_in_training(
    method, name, value, message
):
    clf = make(warm_start=True).fit(X, Y).set_params(**{name: value})
    with pytest.raises(ValueError, match=f"{message}.*warm_start=False"):
        getattr(clf, method)(X, Y)


def test_hidden_layers_may_be_written_otherwise_in_a_later_call():
    clf = make(hidden_layer_sizes=5).partial_fit(X, Y, classes=range(3))
    clf.set_params(hidden_layer_sizes=[np.int64(5)]).partial_fit(X, Y)
    expected = make(hidden_layer_sizes=5).partial_fit(X, Y, classes=range(3))
    assert np.array_equal(clf.coefs_[0], expected.partial_fit(X, Y).coefs_[0])


@pytest.mark.parametrize("sizes", [(), (5,), (5, 4)])
def test_n_none_takes_all_layers_of_any_network(sizes):
    clf = make(hidden_layer_sizes=sizes, n=None, reinit_every=1).fit(X, Y)
    found = {record["layer"] for record in clf.reinit_history_}
    assert found == {f"layers.{i}" for i in range(len(sizes) + 1)}


@pytest.mark.parametrize("sizes", [(), (5,)])
def test_without_re_initialisation_n_is_of_no_account(sizes):
    clf = make(hidden_layer_sizes=sizes, k=0, n=3).fit(X, Y)
    assert clf.reinit_history_ == []


def test_k_that_looks_like_a_fraction_is_warned_of_once():
    clf = make(k=0.25, warm_start=True)
    with pytest.warns(UserWarning, match=r"k=0.25 .*0.25 percent.*set k=25") as caught:
        clf.fit(X, Y).fit(X, Y).partial_fit(X, Y)
    places = [w.filename for w in caught if "set k=25" in str(w.message)]
    assert places == [__file__]


@pytest.mark.parametrize("k", [0, 1, 2.5])
def test_k_that_is_no_fraction_is_not_warned_of(k):
    make(k=k).fit(X, Y)


EARLY = {"early_stopping": True, "max_iter": 2, "random_state": 0}


def test_class_of_one_sample_is_named_where_the_split_cannot_be_stratified():
    y = np.array(["a", "b", "rare"])[np.r_[np.arange(59) % 2, 2]]
    message = r"not stratified: the classes \['rare'\] have one sample"
    with pytest.warns(UserWarning, match=message):
        make(**EARLY).fit(X, y)


def test_more_classes_than_validation_samples_are_split_without_strata():
    message = "not stratified: validation_fraction=0.1 of 60 samples leaves 6 for 20"
    with pytest.warns(UserWarning, match=message):
        make(**EARLY).fit(X, np.arange(60) % 20)


@pytest.mark.filterwarnings("ignore:The validation split is not stratified")
def test_split_without_strata_is_that_of_mlpclassifier():
    y = np.r_[np.arange(59) % 2, 2]
    theirs = MLPClassifier(**EARLY).fit(X, y)
    ours = HessianRegularizedMLPClassifier(k=0, scoring=None, **EARLY).fit(X, y)
    assert ours.validation_scores_ == pytest.approx(theirs.validation_scores_)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-12)


@pytest.mark.parametrize("class_weight", [{0: 1, 1: 19}, "balanced"])
def test_class_weights_do_not_enter_the_validation_accuracy(class_weight):
    rare = (np.arange(200) % 10 == 0).astype(int)
    rows = RNG.normal(size=(200, 3))
    # too slow to move: both nets are the same
    still = {**EARLY, "learning_rate_init": 1e-300, "max_iter": 1, "k": 0}
    plain = make(**still).fit(rows, rare)
    weighted = make(class_weight=class_weight, **still).fit(rows, rare)
    assert weighted.validation_scores_ == plain.validation_scores_


def test_sample_weights_enter_the_validation_accuracy():
    weight = RNG.uniform(1, 9, 60)
    still = {**EARLY, "learning_rate_init": 1e-300, "max_iter": 1, "k": 0}
    clf = make(**still).fit(X, Y, X_val=X, y_val=Y, sample_weight_val=weight)
    assert clf.validation_scores_ == [pytest.approx(clf.score(X, Y, weight))]
    theirs = MLPClassifier(hidden_layer_sizes=(5,), **EARLY).fit(X, Y % 2, weight)
    ours = make(k=0, **EARLY).fit(X, Y % 2, weight)
    assert ours.validation_scores_ == pytest.approx(theirs.validation_scores_)


READ_ONLY = {
    "pandas Float64": pd.Series(np.full(60, 1.5), dtype="Float64"),
    "pandas Int64": pd.Series(np.arange(60) % 2 + 1, dtype="Int64"),
    "array": np.arange(1.0, 61),
    "float32 array": np.arange(1, 61, dtype=np.float32),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", READ_ONLY)
@pytest.mark.parametrize("class_weight", ["balanced", None])
def test_read_only_data_trains_as_a_copy_does(case, dtype, class_weight, tmp_path):
    np.save(tmp_path / "X.npy", X.astype(dtype))
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    weight = READ_ONLY[case]
    if isinstance(weight, np.ndarray):
        weight.flags.writeable = False
    y = Y.copy()
    y.flags.writeable = False
    options = {"class_weight": class_weight, "early_stopping": True}
    clf = make(**options).fit(mapped, y, weight)
    expected = make(**options).fit(X.astype(dtype), Y, np.array(weight, dtype=float))
    assert np.array_equal(clf.predict_proba(X), expected.predict_proba(X))
    clf.fit(mapped, y, weight, X_val=mapped, y_val=y, sample_weight_val=weight)


def test_weights_that_are_zero_in_float32_are_refused_saying_so():
    weight = np.full(60, 1e-50)
    with pytest.raises(ValueError, match="zero in float32, the dtype of X"):
        make().fit(X.astype(np.float32), Y, weight)
    make().fit(X, Y, weight)


@pytest.mark.parametrize("weight", [1e38, 1e300])
def test_weights_that_overflow_in_float32_are_refused_saying_so(weight):
    with pytest.raises(ValueError, match=r"sum of.*inf in float32.*Scale"):
        make().fit(X.astype(np.float32), Y, np.full(60, weight))


ABSENT = ["mps", "gpu", "cuda:99", "meta", "xla", "hpu", "mkldnn", "", "cuda:-1"]


@pytest.mark.parametrize("device", [*ABSENT, torch.device("mps")])
def test_device_that_is_not_there_is_told_in_one_sentence_with_those_that_are(device):
    with pytest.raises(
        ValueError, match=r"^device='.*, where there is 'cpu'"
    ) as raised:
        make(device=device).fit(X, Y)
    message = str(raised.value)
    assert "\n" not in message
    assert message.count(".") == 1
    assert repr(str(device)) in message


def test_accelerators_are_listed_by_their_numbers(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)
    monkeypatch.setattr(
        torch.accelerator, "current_accelerator", lambda: torch.device("xpu")
    )
    with pytest.raises(ValueError, match="there is 'cpu' and 'xpu:0' and 'xpu:1';"):
        make(device="mps").fit(X, Y)


@pytest.mark.parametrize("solver", ["sgd", "adam", torch.optim.SGD])
def test_integers_where_real_numbers_are_asked_for_train_as_these_do(solver):
    options = {"solver": solver, "alpha": 1, "beta_1": 0, "epsilon": 1, "momentum": 0}
    ours = make(learning_rate_init=1, k=10, **options).fit(X, Y)
    options = {name: float(v) if v in (0, 1) else v for name, v in options.items()}
    expected = make(learning_rate_init=1.0, k=10.0, **options).fit(X, Y)
    assert np.array_equal(ours.predict_proba(X), expected.predict_proba(X))


@pytest.mark.parametrize(
    ("rate", "message"),
    [(10**30, r"loss became nan.*now 1e\+30"), (10**400, "rate_init is too large")],
)
def test_integers_that_are_too_large_are_an_error(rate, message):
    with pytest.raises(ValueError, match=message):
        make(solver=torch.optim.SGD, learning_rate_init=rate).fit(1e300 * X, Y)


FLOATS32 = X.astype(np.float32)
IN_OTHER_FORMS = {
    "torch tensor": lambda: torch.from_numpy(FLOATS32),
    "pandas Float32": lambda: pd.DataFrame(FLOATS32).astype("Float32"),
    "pandas Float32 beside float32": lambda: pd.DataFrame(FLOATS32).astype(
        {0: "Float32"}
    ),
    "pandas sparse": lambda: pd.DataFrame(FLOATS32).astype(
        pd.SparseDtype("float32", 0)
    ),
    "Arrow in pandas": lambda: pd.DataFrame(FLOATS32).astype("float32[pyarrow]"),
    "Arrow table": lambda: pa.table(list(FLOATS32.T), "abc"),
    "polars": lambda: pl.DataFrame(FLOATS32),
}


@pytest.mark.parametrize("case", IN_OTHER_FORMS)
@pytest.mark.filterwarnings("ignore:pandas.DataFrame with sparse columns")
def test_float32_in_other_forms_than_an_array_trains_as_float32(case):
    clf = make().fit(IN_OTHER_FORMS[case](), Y)
    assert clf.coefs_[0].dtype == np.float32
    np.testing.assert_array_equal(clf.coefs_[0], make().fit(FLOATS32, Y).coefs_[0])


@pytest.mark.parametrize(
    "other",
    [
        torch.from_numpy(X),
        pd.DataFrame(X).astype("Float64"),
        pd.DataFrame(X).astype({0: "Float32"}),
        FLOATS32.tolist(),
    ],
    ids=["tensor", "frame", "float64 beside Float32", "list"],
)
def test_anything_else_than_float32_trains_as_float64(other):
    assert make().fit(other, Y).coefs_[0].dtype == np.float64
