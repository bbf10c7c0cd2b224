"""Random parameters, data and sequences of calls: clear errors, and nothing changed.

HESSREG_ATTACK_EXAMPLES=2000 runs so many examples, other ones each time.
"""

import os
import pickle
from decimal import Decimal
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone

from sklearn_hessreg import FitCheckpoint, HessianRegularizedMLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore")
ASKED = os.environ.get("HESSREG_ATTACK_EXAMPLES")
ATTACK = settings(
    max_examples=int(ASKED or 250),
    derandomize=ASKED is None,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Let checkpoints be written where they are thrown away."""
    monkeypatch.chdir(tmp_path)


NAN, INF = float("nan"), float("inf")
PROBE = np.random.default_rng(1).normal(size=(7, 4))
# nothing that is valid and takes for ever, as many units and many epochs do
ODD = [
    *(None, True, False, 0, 1, -1, 2, 0.5, -0.5, 1.5, NAN, INF, -INF, 1e-300, 1e300),
    *("auto", "foo", "", b"x", (), [], [1], [0.5], {}, {0: 1}, set(), object(), 1j),
    *(np.True_, np.int8(1), np.uint8(2), np.float32(0.5), np.float16(NAN)),
    *(np.str_("adam"), np.array(1), np.array([3]), np.array([]), np.datetime64("NaT")),
    *(torch.tensor(1), Decimal(1), len, int, HessianRegularizedMLPClassifier),
]
USUAL = {
    "hidden_layer_sizes": [(), 3, (3, 2), [np.int64(4)], (2, 2, 2), {2: 1}, "ab"],
    "activation": ["relu", "tanh", "logistic", "identity"],
    "k": [0, 10, 100, 0.3, np.float32(33.3)],
    "n": [1, 2, 3, 4, np.uint8(1), None],
    "aggregation": ["mean", "sum"],
    "initializer": ["zeros", "normal", "orthogonal", torch.nn.init.uniform_, print],
    "granularity": ["weight", "unit"],
    "scope": ["layer", "global"],
    "curvature": ["mean_loss", "per_sample"],
    "importance": ["hessian", "magnitude", "random"],
    "reinit_every": [1, 2, "plateau", np.int8(1)],
    "n_snapshots": [1, 2, 10, np.uint8(2)],
    "reinit_until": [None, 1, 2],
    "hessian_samples": [None, 1, 256, np.uint8(255)],
    "optimizer_state": ["keep", "reset"],
    "solver": ["adam", "sgd", torch.optim.SGD, torch.optim.RMSprop, torch.optim.LBFGS],
    "alpha": [0, 1e-4, 1.0, 1e10, 10**30],
    "batch_size": ["auto", 1, 5, 10**30, np.int16(20)],
    "learning_rate": ["constant", "invscaling", "adaptive"],
    "learning_rate_init": [1e-3, 0.1, 1e6, np.float64(0.01), 10**30],
    "power_t": [0.5, 0, 100],
    "shuffle": [True, np.False_],
    "tol": [1e-4, 0, INF],
    "n_iter_no_change": [1, 10, INF, 10**30],
    "early_stopping": [True, False, np.True_],
    "validation_fraction": [0.1, 0.5, 0.99, 1e-9],
    "momentum": [0, 0.9, 1, np.float64(0.5)],
    "nesterovs_momentum": [True, np.False_],
    "beta_1": [0, 0.9, np.float32(0.5)],
    "beta_2": [0, 0.999],
    "epsilon": [1e-8, 1e300, 1],
    "dropout": [0, 0.5, 0.999],
    "class_weight": [
        *(None, "balanced", {0: 2, 1: 1, 2: 0}, {"a": 1}, {0: NAN}, {0: -1}, {0: "x"}),
        *({7: 1}, {0: INF}, {0: None}, {0: [1]}),
    ],
    "warm_start": [True, False],
    "random_state": [0, np.random.RandomState(0), None, 2**40, np.uint8(3)],
    "device": ["auto", "cpu", torch.device("cpu"), "mps", "cuda:7", "meta", "cpu:1"],
    "skorch_callbacks": [None, [], [3], [()], [("a",)], [("a", 3)], ["x"], [None]],
    "distributed": [False, True],
    "oob_score": [False, True],
    "checkpoint": [
        *(None, "here", "nowhere/state", FitCheckpoint("here", np.uint8(3))),
        *(FitCheckpoint("here", keep=True), FitCheckpoint("here", 0)),
    ],
    "verbose": [0, False],
}
EPOCHS = [1, 2, 3, np.uint8(2)]


@st.composite
def parameters(draw, least=0, most=8):
    names = draw(
        st.lists(st.sampled_from(sorted(USUAL)), min_size=least, max_size=most)
    )
    chosen = {}
    for name in names:
        odd = draw(st.integers(0, 19)) == 0
        chosen[name] = draw(st.sampled_from(ODD if odd else USUAL[name]))
    return chosen


def frozen(array):
    array = np.array(array)
    array.flags.writeable = False
    return array


X_KINDS = {
    "float64": np.asarray,
    "float32": lambda X: X.astype("f4"),
    "float16": lambda X: X.astype("f2"),
    "other byte order": lambda X: X.astype(">f8"),
    "int8": lambda X: X.astype("i1"),
    "bool": lambda X: X > 0,
    "object": lambda X: X.astype(object),
    "strings": lambda X: X.astype(str),
    "complex": lambda X: X + 1j,
    "columns first": np.asfortranarray,
    "reversed": lambda X: X[::-1, ::-1],
    "every other": lambda X: np.repeat(X, 2, axis=0)[::2],
    "read-only": frozen,
    "list": lambda X: X.tolist(),
    "matrix": lambda X: np.asmatrix(X),
    "masked": lambda X: np.ma.masked_array(X, X > 0.5),
    "frame": pd.DataFrame,
    "named frame": lambda X: pd.DataFrame(X).add_prefix("x"),
    "nullable frame": lambda X: pd.DataFrame(X).astype("Float64"),
    "frame of strings": lambda X: pd.DataFrame(X).astype(str),
    "tensor": torch.from_numpy,
    **{
        f"{form} {kind}": lambda X, f=form, k=kind: getattr(sparse, f"{f}_{k}")(X)
        for form in ("csr", "csc", "coo", "lil", "dok", "bsr")
        for kind in ("array", "matrix")
    },
    "read-only csr": lambda X: sparse.csr_array(
        tuple(
            map(frozen, (lambda S: (S.data, S.indices, S.indptr))(sparse.csr_array(X)))
        ),
        shape=X.shape,
    ),
    "NaN": lambda X: np.where(X > 1, NAN, X),
    "infinite": lambda X: np.where(X > 1, INF, X),
    "large": lambda X: X * 1e150,
    "largest": lambda X: np.sign(X) * 1.7e308,
    "small": lambda X: X * 1e-310,
    "flat": np.ravel,
    "cube": lambda X: X[:, :, None],
    "no rows": lambda X: X[:0],
    "no columns": lambda X: X[:, :0],
    "constant": np.zeros_like,
    "None": lambda X: None,
    "number": lambda X: 3.0,
}
Y_KINDS = {
    "numbers": np.asarray,
    "floats": lambda y: y.astype(float),
    "uint8": lambda y: y.astype("u1"),
    "large": lambda y: y + 2**60,
    "strings": lambda y: y.astype(str),
    "objects": lambda y: y.astype(str).astype(object),
    "objects of int": lambda y: y.astype(object),
    "booleans": lambda y: y > 0,
    "bytes": lambda y: y.astype("S1"),
    "mixed": lambda y: np.array(["a", 1, None], dtype=object)[y % 3],
    "dates": lambda y: y.astype("M8[D]"),
    "NaN": lambda y: np.where(y == 0, NAN, y),
    "continuous": lambda y: y + 0.5 * np.arange(len(y)),
    "column": lambda y: y[:, None],
    "list": lambda y: y.tolist(),
    "series": pd.Series,
    "categorical": lambda y: pd.Series(y).astype("category"),
    "nullable": lambda y: pd.Series(y, dtype="Int64"),
    "missing": lambda y: pd.Series(y, dtype="Int64").where(y > 0),
    "text": lambda y: pd.Series(y).astype("string"),
    "read-only": frozen,
    "reversed": lambda y: y[::-1],
    "one class": np.zeros_like,
    "one of each": lambda y: np.arange(len(y)),
    "a rare one": lambda y: np.where(np.arange(len(y)) == 0, 9, y),
    "indicators": lambda y: np.eye(4, dtype=int)[y],
    "sparse indicators": lambda y: sparse.csr_array(np.eye(3, dtype=int)[y % 3]),
    "coo indicators": lambda y: sparse.coo_matrix(np.eye(3, dtype=int)[y % 3]),
    "indicators of 0 and 2": lambda y: 2 * np.eye(4, dtype=int)[y],
    "indicators of -1 and 1": lambda y: 2 * np.eye(4)[y] - 1,
    "frame of indicators": lambda y: pd.DataFrame(np.eye(4, dtype=bool)[y]),
    "several outputs": lambda y: np.stack([y, y + 1, y], 1),
    "too few": lambda y: y[:-1],
    "cube": lambda y: y[:, None, None],
    "ragged": lambda y: [[0], [1, 2]] * (len(y) // 2),
    "None": lambda y: None,
    "number": lambda y: 3,
    "string": lambda y: "abc",
}
WEIGHT_KINDS = {
    "none": lambda w: None,
    "floats": np.asarray,
    "float32": lambda w: w.astype("f4"),
    "integers": lambda w: np.arange(len(w)),
    "series": lambda w: pd.Series(w, dtype="Float64"),
    "missing": lambda w: pd.Series(w, dtype="Float64").where(w > 1),
    "list": lambda w: w.tolist(),
    "read-only": frozen,
    "reversed": lambda w: w[::-1],
    "booleans": lambda w: w > 1,
    "strings": lambda w: w.astype(str),
    "zeros": np.zeros_like,
    "one": lambda w: (np.arange(len(w)) == 1).astype(float),
    "negative": lambda w: w - 1,
    "NaN": lambda w: np.where(w > 1, NAN, w),
    "infinite": lambda w: np.where(w > 1, INF, w),
    "small": lambda w: w * 1e-40,
    "smallest": lambda w: w * 1e-300,
    "large": lambda w: w * 1e38,
    "largest": lambda w: w * 1e307,
    "too few": lambda w: w[:-1],
    "column": lambda w: w[:, None],
    "number": lambda w: 2,
    "string": lambda w: "abc",
    "no dimension": lambda w: np.array(2.0),
}
CLASSES = [
    *(
        None,
        range(4),
        [0, 1],
        ["0", "1", "2", "3"],
        [True, False],
        [0.5, 1],
        (3, 1, 2, 0),
    ),
    *({0, 1}, np.arange(4)[:, None], [[0, 1], [2, 3]], [np.arange(4)], [[0], [1, 2]]),
    *(3, "ab", [0], [], [0, NAN], [None, 1], np.arange(3), np.arange(4.0), np.array(3)),
    *([b"a", b"b"], pd.Index([0, 1, 2, 3]), np.array(["a", 1], dtype=object)),
]


def kind_of(kinds, usual):
    """Draw a kind, three times of four one of those that work."""
    usual = st.sampled_from(usual)
    return st.one_of(usual, usual, usual, st.sampled_from(sorted(kinds)))


class Table(NamedTuple):
    """Names of kinds, so that a failing example is short."""

    seed: int
    rows: int
    columns: int
    X: str
    y: str
    weight: str

    def arrays(self):
        rng = np.random.default_rng(self.seed)
        X = rng.normal(size=(self.rows, self.columns))
        y, weight = rng.integers(0, 4, self.rows), rng.uniform(0.5, 2, self.rows)
        return [
            X_KINDS[self.X](X),
            Y_KINDS[self.y](y),
            WEIGHT_KINDS[self.weight](weight),
        ]


TABLES = st.builds(
    Table,
    seed=st.integers(0, 9),
    rows=st.sampled_from([12, 24, 24, 3, 2, 1]),
    columns=st.sampled_from([4] * 9 + [1]),
    X=kind_of(X_KINDS, ["float64", "float32", "csr array", "float64"]),
    y=kind_of(Y_KINDS, ["numbers", "numbers", "numbers", "strings"]),
    weight=kind_of(WEIGHT_KINDS, ["none", "floats"]),
)
GOOD = Table(0, 24, 4, "float64", "numbers", "none")
STARTS = st.sampled_from([[("fit", GOOD)], [("fit", GOOD)], []])
PREDICTIONS = ["predict", "predict_proba", "predict_log_proba"]
VALIDATION = ["X_val", "y_val", "sample_weight_val"]
CALLS = st.one_of(
    st.tuples(st.just("fit"), TABLES),
    st.tuples(
        st.just("fit"),
        TABLES,
        TABLES,
        st.lists(st.sampled_from(VALIDATION), max_size=1),
    ),
    st.tuples(
        st.just("partial_fit"),
        TABLES,
        st.one_of(st.just(range(4)), st.sampled_from(CLASSES)),
    ),
    st.tuples(st.sampled_from([*PREDICTIONS, "score"]), TABLES),
    st.tuples(st.just("set_params"), parameters(1, 2)),
    st.tuples(st.sampled_from(["clone", "pickle", "to_sklearn"])),
)


def arguments_of(name, table=None, more=None, left_out=()):
    """Build the arguments of a call from the names of their kinds."""
    if table is None:
        return [], {}
    if name == "set_params":
        return [], table
    if name == "partial_fit":
        return table.arrays(), {"classes": more}
    if name in PREDICTIONS:
        return table.arrays()[:1], {}
    valid = {} if more is None else dict(zip(VALIDATION, more.arrays(), strict=True))
    return table.arrays(), {n: v for n, v in valid.items() if n not in left_out}


def call(clf, name, arguments, options):
    """Make a call and return the estimator that the next one is made on."""
    if name == "clone":
        return clone(clf)
    if name == "pickle":
        try:
            pickle.dumps(clf.get_params())
        except Exception:  # what cannot be pickled was given by the user
            return clf
        return pickle.loads(pickle.dumps(clf))
    if name == "to_sklearn":
        clf.to_sklearn().predict(PROBE[:, : clf.n_features_in_])
        return clf
    getattr(clf, name)(*arguments, **options)
    return clf


def predict(clf):
    """Return what a fitted estimator predicts for the probe, to the bit."""
    if not hasattr(clf, "net_"):
        return b""
    names = getattr(clf, "feature_names_in_", None)
    X = PROBE[:, : clf.n_features_in_]
    proba = clf.predict_proba(X if names is None else pd.DataFrame(X, columns=names))
    assert np.isfinite(proba).all(), "predicts from NaN"
    return proba.tobytes()


def copies(parts):
    """Copy the arrays among the arguments, to see later whether they are the same."""
    return [np.array(part) for part in parts if isinstance(part, np.ndarray)]


def assert_same(arrays, before):
    for array, old in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, old)


@ATTACK
@given(
    *(parameters(), st.sampled_from(EPOCHS)),
    *(STARTS, st.lists(CALLS, min_size=1, max_size=4)),
)
def test_no_call_fails_but_by_a_clear_error_that_changes_nothing(
    chosen, epochs, first, calls
):
    start = {"hidden_layer_sizes": (3,), "random_state": 0, "reinit_every": 1}
    clf = HessianRegularizedMLPClassifier(**{**start, "max_iter": epochs, **chosen})
    for name, *tables in first + calls:
        arguments, options = arguments_of(name, *tables)
        given_arrays = [*arguments, *options.values()]
        arrays, keys, before = copies(given_arrays), set(vars(clf)), predict(clf)
        allowed = (ValueError, TypeError)
        if not hasattr(clf, "net_"):
            allowed = (*allowed, AttributeError)
        try:
            clf = call(clf, name, arguments, options)
        except allowed:
            assert set(vars(clf)) == keys
            assert predict(clf) == before
        assert_same(copies(given_arrays), arrays)
        predict(clf)
