"""A fit that is killed and called again ends as the uninterrupted one, to the bit."""

import json
import os
import pickle
from functools import partial

import numpy as np
import pytest
import torch
from kills import arm, whole_and_resumed
from processes import posix
from settings import small
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from training_cases import X, Y, assert_same

from sklearn_hessreg import (
    FitCheckpoint,
    HessianRegularizedMLPRegressor,
)
from sklearn_hessreg._state import StateFile
from sklearn_hessreg._training import EstimatorCheckpoint
from sklearn_hessreg._training._net import MLPNet

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
SGD = {"solver": "sgd", "learning_rate_init": 0.1}
QUICK = {"tol": 0.05, "n_iter_no_change": 1}
# two folds of different sizes, which validate for three epochs each
FOLDS = {
    **QUICK,
    "tol": 10.0,
    "reinit_every": "plateau",
    "early_stopping": True,
    "validation_fraction": 0.4,
}
CASES = {
    "adam": {},
    "sgd": SGD,
    "adaptive": {**SGD, **QUICK, "learning_rate": "adaptive", "k": 0},
    "invscaling": {**SGD, "learning_rate": "invscaling"},
    "a torch optimizer": {"solver": torch.optim.RMSprop},
    "dropout": {"dropout": 0.4},
    "early stopping": {"early_stopping": True, "n_iter_no_change": 3, "k": 0},
    "plateau": {**QUICK, "reinit_every": "plateau"},
    "plateau of the score": {
        **QUICK,
        "reinit_every": "plateau",
        "early_stopping": True,
    },
    "folds, one batch": {**FOLDS, "batch_size": "auto"},
    "few snapshots": {"n_snapshots": 2},
    "reset of units": {"optimizer_state": "reset", "granularity": "unit"},
    "random": {"importance": "random"},
    "without shuffling": {"shuffle": False},
    "lbfgs": {"solver": "lbfgs"},
    "a schedule of skorch": {
        "skorch_callbacks": [LRScheduler("StepLR", step_size=2, gamma=0.7)]
    },
    "early stopping by skorch": {
        "skorch_callbacks": [
            EarlyStopping("train_loss", 7, 1, "abs", load_best=True)  # in the eighth
        ]
    },
}
KILLS = [
    *((case, "before the move") for case in CASES),
    ("plateau of the score", "in a batch"),
    ("a schedule of skorch", "after the move"),  # that is where the schedule steps
]
make = partial(
    small,
    hidden_layer_sizes=(8, 6),
    k=20,
    n=2,
    reinit_every=2,
    hessian_samples=32,
    max_iter=12,
    device="cpu",
)


def state_of(clf):
    return clf.net_.__getstate__()["state"]


def fit_and_store(case, path, end, seed, point):
    arm(point, MLPNet, batch=33)  # of the sixth epoch
    clf = make(**CASES[case], checkpoint=path).fit(X, Y)
    end.write_bytes(pickle.dumps(state_of(clf)))


@posix
@pytest.mark.parametrize(("case", "point"), KILLS)
def test_a_fit_that_was_killed_goes_on_to_the_same_end_to_the_bit(ends, case, point):
    whole, resumed = whole_and_resumed(ends, case, point)
    for part in ("weights", "optimizer", "callbacks"):
        assert_same(whole[part], resumed[part])
    assert_same(*(json.loads(state["history"]) for state in (whole, resumed)))


@posix
def test_nothing_is_left_when_training_has_ended(ends):
    left = {name for name, (*_, files) in ends[1].items() if files}
    # whose interrupt looks like Ctrl-C
    assert left == {"early stopping by skorch, before the move"}


class BreakOffError(Exception):
    pass


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """Leave the checkpoint of a fit that broke off after five epochs."""

    def leave(path=tmp_path / "state", **options):
        write = EstimatorCheckpoint.on_epoch_end

        def write_and_break(self, net, **kwargs):
            write(self, net, **kwargs)
            if net.epoch == 5:
                raise BreakOffError

        clf = make(**options, checkpoint=path)
        with monkeypatch.context() as patch:
            patch.setattr(EstimatorCheckpoint, "on_epoch_end", write_and_break)
            with pytest.raises(BreakOffError):
                clf.fit(X, Y)
        return path

    return leave


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"k": 30}, r"k was 20\.0 there and is 30\.0 here"),
        ({"max_iter": 20}, "max_iter was 12 there and is 20 here"),
        ({"random_state": 1}, "random_state was 0 there and is 1 here"),
        ({"solver": torch.optim.SGD}, "solver was 'adam' there"),
    ],
)
def test_another_parameter_is_an_error_that_names_both_values(
    interrupted, change, named
):
    path = interrupted()
    with pytest.raises(ValueError, match=named):
        make(**change, checkpoint=path).fit(X, Y)


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ({"X": X + 1e-9, "y": Y}, "X has other values"),
        ({"X": X, "y": Y[::-1].copy()}, "y has other values"),
        ({"X": X, "y": Y, "sample_weight": Y + 1.0}, "sample_weight has other"),
        ({"X": X, "y": Y, "X_val": X, "y_val": Y}, "X_val has other values"),
    ],
)
def test_other_data_are_an_error_that_names_them(interrupted, data, named):
    path = interrupted()
    with pytest.raises(ValueError, match=named):
        make(checkpoint=path).fit(**data)


def test_another_version_is_an_error_that_names_both(interrupted, monkeypatch):
    path = interrupted()
    monkeypatch.setattr(
        "sklearn_hessreg._state._description.version", lambda name: "9.9"
    )
    with pytest.raises(ValueError, match=r"torch was of version 2\..* is of 9\.9 here"):
        make(checkpoint=path).fit(X, Y)


@pytest.mark.parametrize(
    "change",
    [{"verbose": 1}, {"checkpoint__every": 3}, {"checkpoint__keep": True}],
    ids=str,
)
def test_what_changes_no_bit_may_change(interrupted, change, capsys):
    clf = make(checkpoint=FitCheckpoint(interrupted()))
    on = clf.set_params(**change).fit(X, Y)
    assert_same(state_of(on)["weights"], state_of(make().fit(X, Y))["weights"])


@pytest.mark.filterwarnings("ignore:.*rows were held out in no cycle")
def test_out_of_bag_predictions_are_those_of_the_whole_fit(interrupted):
    options = {**CASES["plateau of the score"], "oob_score": True}
    on = make(**options, checkpoint=interrupted(**options)).fit(X, Y)
    whole = make(**options).fit(X, Y)
    assert len(whole.net_.held_out_) > 2  # cycles, of which some began before the end
    np.testing.assert_array_equal(
        on.oob_decision_function_, whole.oob_decision_function_
    )


def test_memory_order_is_not_data(interrupted):
    path = interrupted()
    make(checkpoint=path).fit(np.asfortranarray(X), Y)
    assert not path.exists()


@pytest.mark.parametrize("options", [{}, {**FOLDS, "shuffle": False}], ids=str)
def test_draws_of_no_seed_are_resumed(interrupted, options):
    options = {**options, "random_state": None}
    path = interrupted(**options)
    left = path.read_bytes()
    one = make(**options, checkpoint=path).fit(X, Y)
    path.write_bytes(left)
    two = make(**options, checkpoint=path).fit(X, Y)
    assert_same(state_of(one), {**state_of(two), "history": state_of(one)["history"]})
    assert one.net_.spec.seed == two.net_.spec.seed


def test_a_random_state_that_each_call_advances_is_refused(tmp_path):
    state = np.random.RandomState(3)
    clf = make(random_state=state, checkpoint=tmp_path / "state")
    with pytest.raises(ValueError, match=r"random_state=RandomState.*Use an integer"):
        clf.fit(X, Y)
    assert os.listdir(tmp_path) == []
    assert state.randint(1000) == np.random.RandomState(3).randint(1000)


@pytest.mark.parametrize(
    "class_weight",
    [
        {2: 2.0, 1: 1.0, 0: 3.0},
        {np.int64(0): np.float64(3), np.int64(1): 1.0, np.int64(2): 2.0},
    ],
    ids=["order", "numpy"],
)
def test_equal_dicts_are_one_parameter(interrupted, class_weight):
    path = interrupted(class_weight={0: 3.0, 1: 1.0, 2: 2.0})
    make(class_weight=class_weight, checkpoint=path).fit(X, Y)
    assert not path.exists()


def test_a_parameter_that_the_other_fit_lacks_is_named_as_missing(interrupted):
    path = interrupted()
    reg = HessianRegularizedMLPRegressor(checkpoint=path)
    with pytest.raises(ValueError, match="class_weight was None there and is missing"):
        reg.fit(X, Y)


def test_a_warm_start_goes_on_too(interrupted):
    path = interrupted(warm_start=True)
    first = make(warm_start=True, checkpoint=path).fit(X, Y)
    whole = make(warm_start=True).fit(X, Y).fit(X, Y)
    assert_same(state_of(first.fit(X, Y))["weights"], state_of(whole)["weights"])


def test_a_warm_start_from_other_weights_is_another_fit(tmp_path):
    clf = make(warm_start=True, checkpoint=FitCheckpoint(tmp_path / "state", keep=True))
    clf.fit(X, Y)
    with pytest.raises(ValueError, match=r"layers\.0\.weight of the previous fit"):
        clf.fit(X, Y)


ENDS = {
    "at max_iter": {},
    "after the last snapshot": {**FOLDS, "n_snapshots": 2},
    "at a plateau": {**QUICK, "k": 0},
    "of lbfgs": {"solver": "lbfgs", "k": 0, "max_iter": 200},
}


@pytest.mark.parametrize("options", ENDS.values(), ids=ENDS)
def test_a_kept_checkpoint_holds_the_end(options, tmp_path, monkeypatch):
    path = tmp_path / "state"
    keep = FitCheckpoint(path, every=50, keep=True)
    whole = make(**options, checkpoint=keep).fit(X, Y)
    assert (whole.n_iter_ < whole.max_iter) == bool(options)
    monkeypatch.setattr(MLPNet, "compute_gradient", None)  # nothing is trained again
    again = make(**options, checkpoint=path).fit(X, Y)
    assert_same(state_of(whole)["weights"], state_of(again)["weights"])
    assert again.n_iter_ == whole.n_iter_


def test_lbfgs_is_written_at_the_end_of_each_cycle(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(
        StateFile, "write", lambda self, state, epochs: written.append(epochs)
    )
    make(solver="lbfgs", reinit_every=5, checkpoint=tmp_path / "state").fit(X, Y)
    assert written == [0, 5, 10, 12]


def test_a_resumed_fit_leaves_the_global_generators_alone(interrupted):
    path = interrupted()
    with torch.random.fork_rng():
        torch.manual_seed(1)  # the other fit left it elsewhere
        before = torch.get_rng_state()
        make(checkpoint=path).fit(X, Y)
        assert torch.equal(torch.get_rng_state(), before)


def test_scikit_learns_callbacks_may_be_added(interrupted):
    callbacks = pytest.importorskip("sklearn.callback")
    on = make(checkpoint=interrupted())
    on.set_callbacks(callbacks.ScoringMonitor(scoring="accuracy")).fit(X, Y)
    assert_same(state_of(on)["weights"], state_of(make().fit(X, Y))["weights"])


def test_settings_that_are_not_allowed_are_refused(tmp_path):
    settings = FitCheckpoint(tmp_path / "state", every=0)
    with pytest.raises(ValueError, match="'every' parameter of FitCheckpoint"):
        make(checkpoint=settings).fit(X, Y)
    assert os.listdir(tmp_path) == []


def test_a_folder_needs_a_seed(tmp_path):
    with pytest.raises(ValueError, match=r"random_state=None.*Set random_state"):
        make(checkpoint=tmp_path, random_state=None).fit(X, Y)


def test_a_large_file_without_lines_is_refused_unread(tmp_path):
    path = tmp_path / "image"
    with path.open("wb") as file:
        file.truncate(2**36)  # a hole
    with pytest.raises(ValueError, match=r"^checkpoint=.*image.* is no checkpoint"):
        make(checkpoint=path).fit(X, Y)


def test_a_damaged_file_is_an_error_with_a_way_out(interrupted):
    path = interrupted()
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"damaged.*Delete it"):
        make(checkpoint=path).fit(X, Y)


def test_parameters_that_cannot_be_pickled_are_named(tmp_path):
    clf = make(initializer=lambda tensor, generator: tensor.zero_())
    clf.set_params(checkpoint=tmp_path / "state")
    with pytest.raises(ValueError, match=r"initializer=.*cannot be pickled"):
        clf.fit(X, Y)


def test_partial_fit_refuses_a_checkpoint(tmp_path):
    with pytest.raises(ValueError, match="partial_fit writes no checkpoint"):
        make(checkpoint=tmp_path / "state").partial_fit(X, Y, classes=[0, 1, 2])


class StopInTheFourth(Callback):
    """Interrupt as Ctrl-C does."""

    def on_batch_end(self, net, training=False, **kwargs):
        if len(net.history) == 4:
            raise KeyboardInterrupt


@pytest.mark.filterwarnings("ignore:Training interrupted")
def test_an_interrupted_fit_leaves_its_checkpoint(tmp_path):
    path = tmp_path / "state"
    make(skorch_callbacks=[StopInTheFourth()], checkpoint=path).fit(X, Y)
    assert path.exists()
