"""The ways of a trained model to where it predicts: ONNX, skops, pickle and joblib."""

import copy
import io
import pickle
import re
import tempfile
from functools import partial
from itertools import product
from pathlib import Path

import joblib
import numpy as np
import onnxruntime
import pandas as pd
import pytest
import skops.io
import torch
from scipy.sparse import csr_array
from settings import small
from skl2onnx import to_onnx
from sklearn.base import clone, is_regressor
from sklearn.datasets import load_iris
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback, LRScheduler
from training_cases import QUICK, assert_same

from sklearn_hessreg import (
    HessianRegularizedMLPClassifier,
    HessianRegularizedMLPRegressor,
    HessianReinit,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, Y = load_iris(return_X_y=True)
LABELS = {
    "binary": Y == 1,
    "multiclass": np.array(["setosa", "versicolor", "virginica"])[Y],
}
INDICATORS = np.stack([Y == 1, X[:, 0] > 5.8, X[:, 1] > 3], axis=1).astype(int)
PAGE = Path(__file__).parents[1] / "docs" / "deployment.md"
every_kind = pytest.mark.parametrize(
    "kind", [HessianRegularizedMLPClassifier, HessianRegularizedMLPRegressor]
)
make = partial(small, n=2, max_iter=3, learning_rate_init=1e-3)


def through_pickle(model):
    return pickle.loads(pickle.dumps(model))


def through_skops(model):
    dumped = skops.io.dumps(model)
    types = skops.io.get_untrusted_types(data=dumped)
    return skops.io.loads(dumped, trusted=types)


def through_joblib(model, mmap_mode=None):
    with tempfile.TemporaryDirectory() as folder:
        joblib.dump(model, f"{folder}/model.joblib")
        return joblib.load(f"{folder}/model.joblib", mmap_mode=mmap_mode)


COPIES = {
    "pickle": through_pickle,
    "joblib": through_joblib,
    "mapped joblib": partial(through_joblib, mmap_mode="r"),
    "skops": through_skops,
    "deepcopy": copy.deepcopy,
}
OTHERS = [name for name in COPIES if name not in ("pickle", "skops")]
every_copy = pytest.mark.parametrize("through", COPIES.values(), ids=COPIES)


def assert_same_networks(one, two):
    assert_same(one.coefs_, two.coefs_)
    assert_same(one.snapshots_, two.snapshots_)


def outputs(model, rows=X):
    """Predict by all that a model can tell."""
    names = ("predict_proba", "predict_log_proba", "predict")
    return [getattr(model, name)(rows) for name in names if hasattr(model, name)]


def assert_predict_alike(one, two):
    assert_same(outputs(one), outputs(two))


def begin(model):
    """Train the first epoch of a stream."""
    classes = {} if is_regressor(model) else {"classes": [0, 1, 2]}
    return model.partial_fit(X, Y, **classes)


def assert_trains_on_alike(one, two, epochs=1):
    for each in (one, two):
        for _ in range(epochs):
            each.partial_fit(X, Y)
    assert_same_networks(one, two)
    assert_predict_alike(one, two)


def run_onnx(model, rows, **options):
    """Convert a model of scikit-learn's to ONNX, and predict."""
    converted = to_onnx(model, rows[:1], **options).SerializeToString()
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(converted, providers=providers)
    return session.run(None, {"X": rows})


def packages(dumped):
    """Name the packages that a pickle imports from."""
    names = set()

    class Recorder(pickle.Unpickler):
        def find_class(self, module, name):
            names.add(module.split(".")[0])
            return super().find_class(module, name)

    Recorder(io.BytesIO(dumped)).load()
    return names


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("scaled", [True, False], ids=["pipeline", "alone"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_snapshots", [1, 3])
def test_onnx_runtime_predicts_as_the_estimator(labels, scaled, dtype, n_snapshots):
    rows = X.astype(dtype)
    steps = [StandardScaler()] if scaled else []
    model = make_pipeline(*steps, make(n_snapshots=n_snapshots)).fit(rows, labels)
    clf = model.steps.pop()[1]
    converted = make_pipeline(*steps, clf.to_sklearn())
    predicted, proba = run_onnx(converted, rows, options={"zipmap": False})
    inputs = model.transform(rows) if scaled else rows
    # sums of up to 8 terms, whose rounding errors the softmax only shrinks
    expected = clf.predict_proba(inputs)
    np.testing.assert_allclose(proba, expected, atol=8 * np.finfo(dtype).eps)
    assert np.array_equal(clf.classes_[proba.argmax(1)], clf.predict(inputs))
    assert np.array_equal(predicted.astype(labels.dtype), clf.predict(inputs))


def test_onnx_runtime_predicts_several_labels_in_float32():
    rows = X.astype(np.float32)
    clf = make(n_snapshots=1).fit(rows, INDICATORS)
    predicted, proba = run_onnx(clf.to_sklearn(), rows, options={"zipmap": False})
    expected = clf.predict_proba(rows)
    np.testing.assert_allclose(proba, expected, atol=8 * np.finfo(np.float32).eps)
    assert np.array_equal(predicted, clf.predict(rows))


MODELS = {
    **{name: (make, labels) for name, labels in LABELS.items()},
    "sgd": (partial(make, solver="sgd"), Y),
    **{
        loss: (partial(make, HessianRegularizedMLPRegressor, loss=loss), Y)
        for loss in ("squared_error", "poisson", "huber")
    },
}
every_model = pytest.mark.parametrize("model", MODELS)


@every_model
@pytest.mark.parametrize("n_snapshots", [1, 3])
def test_skops_trusts_the_converted_model_as_it_is(model, n_snapshots):
    make, y = MODELS[model]
    converted = make(n_snapshots=n_snapshots).fit(X, y).to_sklearn()
    dumped = skops.io.dumps(converted)
    assert skops.io.get_untrusted_types(data=dumped) == []
    assert_predict_alike(skops.io.loads(dumped), converted)


@every_kind
@pytest.mark.parametrize("n_snapshots", [1, 3])
def test_the_converted_model_needs_neither_torch_nor_this_package(kind, n_snapshots):
    dumped = pickle.dumps(make(kind, n_snapshots=n_snapshots).fit(X, Y).to_sklearn())
    assert packages(dumped) <= {"sklearn", "numpy", "builtins", "copyreg"}


@every_model
@pytest.mark.parametrize("width", [1, 2])
def test_skops_asks_for_trust_in_this_package_alone(model, width):
    make, y = MODELS[model]
    several = X[:, :2] if is_regressor(make()) else INDICATORS
    fitted = make().fit(X, y if width == 1 else several)
    types = skops.io.get_untrusted_types(data=skops.io.dumps(fitted))
    assert types
    assert all(name.startswith("sklearn_hessreg.") for name in types)
    assert_predict_alike(through_skops(fitted), fitted)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"solver": "sgd", "learning_rate": "adaptive"},
        {"random_state": np.random.RandomState(0)},
        {"alpha": np.float64(1e-3), "n_iter_no_change": np.inf, "dropout": 0.5},
        {"solver": torch.optim.RMSprop},
        {"skorch_callbacks": [LRScheduler(policy="StepLR", step_size=2)]},
    ],
    ids=["adam", "sgd", "RandomState", "numpy-numbers", "RMSprop", "schedule"],
)
@pytest.mark.parametrize("through", [through_pickle, through_skops])
def test_a_loaded_model_trains_on_to_the_bit(options, through):
    clf = make(**options).partial_fit(X, Y, classes=[0, 1, 2]).partial_fit(X, Y)
    loaded = through(clf)
    assert loaded.history_ == clf.history_
    assert_trains_on_alike(clf, loaded)


@every_kind
@every_copy
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("max_iter", [6, 8], ids=["complete", "cut off"])
def test_copies_of_a_fitted_model_have_its_snapshots(
    kind, through, early_stopping, max_iter
):
    clf = make(kind, **QUICK | {"max_iter": max_iter, "early_stopping": early_stopping})
    loaded = through(clf.fit(X, Y))
    assert len(clf.snapshots_) >= 2
    assert_same_networks(clf, loaded)
    assert_predict_alike(loaded, clf)


@every_kind
@pytest.mark.parametrize(
    ("name", "calls"),
    # the ways differ in how the state is stored, not in what it is
    [*product(["pickle", "skops"], [1, 3, 5, 6]), *product(OTHERS, [5])],
)
def test_copies_in_any_epoch_of_a_cycle_train_on_to_the_bit(kind, name, calls):
    clf = make(kind, **QUICK, n_snapshots=2)
    for _ in range(calls):
        begin(clf)
    loaded = COPIES[name](clf)
    assert_predict_alike(loaded, clf)
    assert_trains_on_alike(clf, loaded, epochs=7)
    assert loaded.reinit_history_[-1]["cycle"] == clf.reinit_history_[-1]["cycle"] >= 3


@every_kind
@every_copy
def test_copies_start_warm_to_the_bit(kind, through):
    clf = make(kind, **QUICK | {"max_iter": 8, "warm_start": True}).fit(X, Y)
    loaded = through(clf)
    assert_same_networks(clf.fit(X, Y), loaded.fit(X, Y))
    assert_predict_alike(loaded, clf)


@every_copy
def test_a_model_that_trains_on_leaves_its_copy_alone(through):
    clf = make(**QUICK)
    for _ in range(4):
        clf.partial_fit(X, Y, classes=[0, 1, 2])
    loaded, before = through(clf), clf.predict_proba(X)
    for _ in range(4):
        clf.partial_fit(X, Y)
    assert not np.array_equal(clf.predict_proba(X), before)
    assert np.array_equal(loaded.predict_proba(X), before)


@every_kind
def test_a_clone_is_unfitted_and_trains_to_the_same_snapshots(kind):
    clf = make(kind, **QUICK | {"max_iter": 8}).fit(X, Y)
    other = clone(clf)
    assert not hasattr(other, "snapshots_")
    assert_same_networks(clf, other.fit(X, Y))


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_several_snapshots_become_a_vote_that_predicts_the_same(labels, dtype):
    rows = X.astype(dtype)
    clf = make().fit(rows, labels)
    voting = clf.to_sklearn()
    assert isinstance(voting, VotingClassifier)
    assert voting.voting == "soft"
    assert len(voting.estimators_) == len(clf.snapshots_) == 3
    # sums of 4 and 8 terms, none above 16
    np.testing.assert_allclose(
        voting.predict_proba(rows),
        clf.predict_proba(rows),
        rtol=0,
        atol=12 * 16 * np.finfo(dtype).eps,
    )
    assert voting.predict(rows).dtype == clf.predict(rows).dtype
    assert np.array_equal(voting.predict(rows), clf.predict(rows))
    assert np.array_equal(voting.classes_, clf.classes_)
    assert voting.score(rows, labels) == clf.score(rows, labels)


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_a_hard_vote_predicts_the_labels_of_most_networks(labels):
    clf = make().fit(X, labels)
    voting = clf.to_sklearn().set_params(voting="hard")
    votes = [mlp.predict_proba(X).argmax(1) for mlp in voting.estimators_]
    most = [np.bincount(row).argmax() for row in np.transpose(votes)]
    assert np.array_equal(voting.predict(X), clf.classes_[most])


@pytest.mark.filterwarnings("error:X .*feature names")
def test_a_vote_has_the_names_of_the_features():
    frame = pd.DataFrame(X, columns=list("abcd"))
    clf = make().fit(frame, Y)
    voting = clf.to_sklearn()
    assert list(voting.feature_names_in_) == list("abcd")
    assert voting.n_features_in_ == 4
    assert np.array_equal(voting.predict(frame), clf.predict(frame))


def test_networks_of_a_vote_can_be_had_by_name():
    voting = make().fit(X, Y).to_sklearn()
    assert list(voting.named_estimators_) == ["snapshot_1", "snapshot_2", "snapshot_3"]
    assert voting.named_estimators_["snapshot_2"] is voting.estimators_[1]
    assert voting.get_params()["snapshot_2"] is voting.estimators_[1]


def test_a_vote_can_be_cloned_and_trained():
    voting = clone(make().fit(X, Y).to_sklearn())
    assert voting.fit(X, Y).predict(X).shape == (150,)


def test_several_snapshots_of_several_labels_are_refused_with_the_ways_out():
    clf = make().fit(X, INDICATORS)
    with pytest.raises(
        ValueError, match=r"3 snapshots of several labels.*n_snapshots=1.*snapshots_"
    ):
        clf.to_sklearn()


@pytest.mark.parametrize("container", [np.asarray, csr_array])
@pytest.mark.parametrize("through", [through_pickle, through_skops])
def test_a_loaded_model_predicts_several_labels_alike(through, container):
    clf = make().fit(X, container(INDICATORS))
    one, two = clf.predict(X), through(clf).predict(X)
    assert type(one) is type(two)
    assert abs(one - two).sum() == 0


@every_kind
def test_a_dump_holds_nothing_of_torch_and_skorch_so_no_device(kind):
    dumped = pickle.dumps(make(kind, verbose=1).fit(X, Y))
    assert packages(dumped) <= {"sklearn_hessreg", "numpy", "builtins", "copyreg"}


def test_a_schedule_of_learning_rates_brings_no_tensors_into_a_dump():
    clf = make(skorch_callbacks=[LRScheduler(policy="StepLR", step_size=2)]).fit(X, Y)
    with pytest.MonkeyPatch.context() as patch:  # what torch writes of a CUDA tensor
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:63")
        dumped = pickle.dumps(clf)
    assert np.array_equal(pickle.loads(dumped).predict_proba(X), clf.predict_proba(X))


def test_a_model_from_a_device_that_is_not_here_goes_on_on_the_cpu():
    clf = make().fit(X, Y)
    clf.net_.device = "cuda:63"
    loaded = through_pickle(clf)
    clf.net_.device = "cpu"
    assert loaded.net_.device == "cpu"
    assert np.array_equal(loaded.predict_proba(X), clf.predict_proba(X))
    assert_trains_on_alike(clf, loaded)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_model_comes_back_to_the_device_it_was_trained_on():
    clf = make(device="cuda").fit(X, Y)
    loaded = through_pickle(clf)
    assert next(loaded.net_.module_.parameters()).is_cuda
    assert np.array_equal(loaded.predict_proba(X), clf.predict_proba(X))
    assert_trains_on_alike(clf, loaded)


@every_kind
def test_a_loaded_model_is_the_trained_one_whatever_its_parameters_are_now(kind):
    clf = make(kind).fit(X, Y)
    expected = clf.predict(X)
    clf.set_params(hidden_layer_sizes=(3,), activation="tanh", solver="sgd")
    assert np.array_equal(through_pickle(clf).predict(X), expected)


def test_loading_leaves_torchs_global_generator_alone():
    dumped = pickle.dumps(make().fit(X, Y))
    state = torch.get_rng_state()
    pickle.loads(dumped)
    assert torch.equal(torch.get_rng_state(), state)


class Count(Callback):
    """Counts epochs, and records what JSON does not keep."""

    def initialize(self):
        self.epochs_ = 0
        return self

    def on_epoch_end(self, net, **kwargs):
        self.epochs_ += 1
        net.history.record("shape", (self.epochs_, 1))


def test_callbacks_of_the_user_come_back_as_they_were():
    clf = make(skorch_callbacks=[Count]).fit(X, Y)
    loaded = through_pickle(clf)
    assert [name for name, _ in loaded.net_.callbacks_] == [
        name for name, _ in clf.net_.callbacks_
    ]
    assert dict(loaded.net_.callbacks_)["Count"].epochs_ == 3
    assert loaded.history_[:, "shape"] == [(1, 1), (2, 1), (3, 1)]


@pytest.mark.parametrize("dumped_by", [None, "0.0.9"])
def test_a_dump_of_another_minor_version_is_warned_of(dumped_by, monkeypatch):
    class Old(HessianRegularizedMLPClassifier):
        def __getstate__(self):
            state = super().__getstate__()
            del state["_sklearn_hessreg_version"]
            return state | (
                {} if dumped_by is None else {"_sklearn_hessreg_version": dumped_by}
            )

    monkeypatch.setitem(globals(), "Old", Old)
    Old.__qualname__ = "Old"
    dumped = pickle.dumps(Old(max_iter=2).fit(X, Y))
    with pytest.warns(InconsistentVersionWarning, match=r"Old.*0\.1\.0") as seen:
        pickle.loads(dumped)
    assert seen[0].filename == __file__


def test_a_dump_of_this_minor_version_is_not_warned_of(monkeypatch):
    dumped = pickle.dumps(make().fit(X, Y))
    monkeypatch.setattr("sklearn_hessreg._fitted.__version__", "0.1.7")
    assert pickle.loads(dumped).predict(X).shape == (150,)


def test_the_callback_alone_goes_on_drawing_where_it_was():
    callback = HessianReinit(random_state=0).initialize()
    torch.rand(3, generator=callback.generator_)
    for loaded in (through_pickle(callback), through_skops(callback)):
        assert torch.equal(
            loaded.generator_.get_state(), callback.generator_.get_state()
        )


def test_the_page_on_deployment_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    assert blocks
    exec(compile("\n".join(blocks), PAGE.name, "exec"), {})


@pytest.mark.parametrize("loss", ["squared_error", "huber"])
@pytest.mark.parametrize("scaled", [True, False], ids=["pipeline", "alone"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_snapshots", [1, 3])
def test_onnx_runtime_predicts_numbers_as_the_regressor(
    loss, scaled, dtype, n_snapshots
):
    rows, options = X.astype(dtype), {"loss": loss, "n_snapshots": n_snapshots}
    steps = [StandardScaler()] if scaled else []
    reg = make(HessianRegularizedMLPRegressor, **options)
    model = make_pipeline(*steps, reg).fit(rows, Y)
    (predicted,) = run_onnx(make_pipeline(*steps, model[-1].to_sklearn()), rows)
    # sums of 4 and 8 terms, none above 16
    atol = 12 * 16 * np.finfo(dtype).eps
    np.testing.assert_allclose(predicted[:, 0], model.predict(rows), rtol=0, atol=atol)
