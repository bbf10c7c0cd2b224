"""A skorch net's fit that is killed and called again ends with the same bits."""

import errno
import os
import pickle
import random
import threading
from contextlib import suppress
from copy import deepcopy

import numpy as np
import pytest
import torch
from kills import POINTS, arm, at_call, whole_and_resumed
from processes import posix
from sklearn.model_selection import GridSearchCV
from sklearn.utils import check_random_state
from skorch import NeuralNet, NeuralNetClassifier
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    Freezer,
    LRScheduler,
    PrintLog,
    TensorBoard,
)
from skorch.dataset import ValidSplit
from torch import nn
from torch.utils.data import TensorDataset
from training_cases import X, Y, assert_same

from sklearn_hessreg import (
    FitCheckpoint,
    HessianRegularizedMLPClassifier,
    HessianReinit,
)
from sklearn_hessreg._state import StateFile, _net_state

X = X.astype("float32")
EPOCHS = 8
ADAM = {"optimizer": torch.optim.Adam, "lr": 0.01}
SGD = {"optimizer": torch.optim.SGD, "lr": 0.05, "optimizer__momentum": 0.9}
# a plateau comes every third epoch, as nothing is an improvement
METHOD = {"k": 30, "n": None, "tol": 10.0, "n_iter_no_change": 1, "random_state": 0}


def seed_all(seed):
    torch.manual_seed(seed)
    check_random_state(None).seed(seed)
    random.seed(seed)


def draw():
    return [
        *(random.random(), check_random_state(None).random_sample()),
        torch.rand(1).item(),
    ]


class Network(nn.Module):
    def __init__(self, dropout=0.0, norm=False):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, 8),
            nn.BatchNorm1d(8) if norm else nn.Identity(),
            nn.Tanh(),
            nn.Dropout(dropout),
            nn.Linear(8, 3),
        )

    def forward(self, X):
        return self.layers(X)


class Noise(Callback):
    """Draw from all generators, and count what does not end in an underscore."""

    def initialize(self):
        self.count = 0
        return self

    def on_epoch_begin(self, net, **kwargs):
        self.count += 1
        with torch.no_grad():
            net.module_.layers[0].bias.add_(0.01 * sum(draw()) * self.count)


class TwoModules(NeuralNetClassifier):
    """Train a second module with an optimizer of its own; add up gradients."""

    def initialize_module(self):
        super().initialize_module()
        self.head_ = nn.Linear(3, 3)
        return self

    def initialize_optimizer(self, *args, **kwargs):
        self.optimizer_ = torch.optim.Adam(self.module_.parameters(), 0.01)
        self.second_ = torch.optim.SGD(self.head_.parameters(), 0.1, momentum=0.9)
        return self

    def infer(self, X, **fit_params):
        return self.head_(super().infer(X, **fit_params))

    def train_step(self, batch, **fit_params):
        step = self.train_step_single(batch, **fit_params)
        self.steps = getattr(self, "steps", 0) + 1
        if len(self.history[-1, "batches"]) % 2 == 0:  # the last one of five waits
            self._step_optimizer(None)
            self._zero_grad_optimizer()
        return step


def stopping():
    mode = {"threshold": 1, "threshold_mode": "abs"}  # nothing is an improvement
    return EarlyStopping(patience=5, load_best=True, **mode)


def best_of(folder):
    return Checkpoint(dirname=folder, load_best=True)


CASES = {
    "adam, dropout, rows drawn": lambda folder: {
        **ADAM,
        "module__dropout": 0.4,
        "train_split": ValidSplit(0.2),
    },
    "sgd, a schedule": lambda folder: {
        **SGD,
        "callbacks": [LRScheduler("StepLR", step_size=2, gamma=0.7)],
    },
    "a schedule of batches": lambda folder: {
        **SGD,
        "callbacks": [
            LRScheduler("CyclicLR", base_lr=0.01, max_lr=0.1, step_every="batch")
        ],
    },
    "a schedule by the loss": lambda folder: {
        **SGD,
        "callbacks": [LRScheduler("ReduceLROnPlateau", patience=0, threshold=0.1)],
    },
    "early stopping": lambda folder: {**SGD, "callbacks": [stopping()]},
    "the method at a plateau": lambda folder: {
        **ADAM,
        "callbacks": [HessianReinit(**METHOD, load_best=True, n_snapshots=2)],
    },
    "the method, scores, the best": lambda folder: {
        **ADAM,
        "callbacks": [
            HessianReinit(**METHOD, reinit_every=2),
            EpochScoring("f1_macro", lower_is_better=False),
            best_of(folder),
        ],
    },
    "batch norm": lambda folder: {**SGD, "module__norm": True},
    "frozen weights": lambda folder: {
        **ADAM,
        "callbacks": [Freezer("layers.0.*", at=2)],
    },
    "generators": lambda folder: {
        **ADAM,
        "iterator_train__generator": torch.Generator().manual_seed(5),
        "callbacks": [Noise()],
    },
    "two modules": lambda folder: {},
    "lazy": lambda folder: {
        **SGD,
        "module": nn.LazyLinear,
        "module__out_features": 3,
    },
}
KILLS = [
    *((case, "before the move") for case in CASES),
    *(("adam, dropout, rows drawn", point) for point in POINTS if point != POINTS[2]),
    ("the method at a plateau", "in a batch"),
    ("the method, scores, the best", "after the move"),
    ("a schedule of batches", "after the move"),
    ("lazy", "begun"),
]


def make(path, case=None, folder=None, *more, **options):
    options = {**(CASES[case](folder) if case else ADAM), **options}
    kind = TwoModules if case == "two modules" else NeuralNetClassifier
    callbacks = [*options.pop("callbacks", []), *more]
    if path is not None:
        callbacks.append(("resume", FitCheckpoint(path)))
    options = {
        "criterion": nn.CrossEntropyLoss,
        "max_epochs": EPOCHS,
        "batch_size": 25,
        "iterator_train__shuffle": True,
        "verbose": 0,
        **options,
    }
    return kind(options.pop("module", Network), callbacks=callbacks, **options)


def end_of(net):
    """Collect all that a training has come to, each thing by its own means."""
    callbacks = [
        (name, one)
        for name, one in net.callbacks_
        if not isinstance(one, (FitCheckpoint, PrintLog))
    ]
    return {
        "modules": [dict(getattr(net, f"{m}_").state_dict()) for m in net._modules],
        "trained": [w.requires_grad for w in net.module_.parameters()],
        "optimizers": [getattr(net, f"{o}_").state_dict() for o in net._optimizers],
        "history": list(net.history),
        "callbacks": {name: learnt_by(one) for name, one in callbacks},
        "draws": draw(),
        "max_epochs": net.max_epochs,
        "names": [name for name, _ in callbacks],
    }


def learnt_by(callback):
    portable = callback.__getstate__() or {}
    held = portable if isinstance(callback, HessianReinit) else vars(callback)
    held = {name: value for name, value in held.items() if not callable(value)}
    held.pop("dirname", None)
    for name, value in held.items():
        if hasattr(value, "load_state_dict"):
            held[name] = value.state_dict()
    return held


def fit_and_store(case, path, end, seed, point):
    arm(point, NeuralNetClassifier, batch=28)  # of the sixth epoch
    seed_all(seed)
    net = make(path, case, str(end) + " best").fit(X, Y)
    end.write_bytes(pickle.dumps(end_of(net)))


@posix
@pytest.mark.parametrize(("case", "point"), KILLS)
def test_a_fit_that_was_killed_goes_on_to_the_same_end_to_the_bit(ends, case, point):
    whole, resumed = whole_and_resumed(ends, case, point)
    for part in whole:
        assert_same(whole[part], resumed[part])


@posix
def test_nothing_is_left_when_training_has_ended(ends):
    assert {name: left for name, (*_, left) in ends[1].items() if left} == {}


class BreakOffError(Exception):
    pass


def break_off(*args):
    raise BreakOffError


def interrupt(*args):
    raise KeyboardInterrupt


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """Leave the checkpoint of a fit that ended in the second batch of an epoch."""

    def leave(*args, end=break_off, epoch=6, **options):
        path = tmp_path / "state"
        step = at_call(5 * (epoch - 1) + 2, NeuralNet.train_step_single, end)
        seed_all(0)
        with monkeypatch.context() as patch:
            patch.setattr(NeuralNet, "train_step_single", step)
            with suppress(BreakOffError):
                make(path, *args, **options).fit(X, Y)
        assert path.exists()
        return path

    return leave


def weights_of(net):
    return dict(net.module_.state_dict())


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"lr": 0.02}, r"lr was 0\.01 there and is 0\.02 here"),
        ({"max_epochs": 20}, "max_epochs was 8 there and is 20 here"),
        ({"optimizer": torch.optim.SGD}, r"optimizer was torch\..*Adam there"),
        ({"module__dropout": 0.5}, r"module__dropout was missing there and is 0\.5"),
        ({"train_split": ValidSplit(4)}, "train_split was .* there"),
        ({"callbacks": [stopping()]}, "callbacks__EarlyStopping was missing there"),
        ({"criterion__weight": torch.ones(3)}, "criterion__weight was missing there"),
        (CASES["lazy"](None), "not known yet here"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_another_parameter_is_an_error_that_names_both_values(
    interrupted, change, named
):
    path = interrupted()
    before = path.read_bytes()
    with pytest.raises(ValueError, match=named):
        make(path, **change).fit(X, Y)
    assert path.read_bytes() == before


def test_another_parameter_of_a_callback_is_named(interrupted):
    path = interrupted("early stopping")
    other = EarlyStopping(patience=7, load_best=True, threshold=1, threshold_mode="abs")
    with pytest.raises(ValueError, match="EarlyStopping__patience was 5 there"):
        make(path, "early stopping", callbacks=[other]).fit(X, Y)


@pytest.mark.parametrize(
    ("data", "named"),
    [
        ((X + 1e-6, Y), "X has other values"),
        ((X, Y[::-1].copy()), "y has other values"),
        ((TensorDataset(torch.tensor(X), torch.tensor(Y)), None), "X has other values"),
    ],
    ids=["X", "y", "a data set"],
)
def test_other_data_are_an_error_that_names_them(interrupted, data, named):
    path = interrupted()
    with pytest.raises(ValueError, match=named):
        make(path).fit(*data)


def test_the_weights_of_a_criterion_are_data(interrupted):
    path = interrupted(criterion=nn.CrossEntropyLoss(weight=torch.ones(3)))
    other = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0]))
    with pytest.raises(ValueError, match=r"criterion_\.weight has other values"):
        make(path, criterion=other).fit(X, Y)


def test_initial_weights_and_generators_are_no_parameters(interrupted):
    seed_all(3)
    one, two = Network(0.2), Network(0.2)
    path = interrupted(module=deepcopy(one))
    seed_all(1)
    resumed = make(path, module=two).fit(X, Y)
    seed_all(0)
    whole = make(None, module=one).fit(X, Y)
    assert_same(weights_of(whole), weights_of(resumed))


@pytest.mark.parametrize(
    "change",
    [
        {"verbose": 1},
        {"callbacks__resume__every": 3},
        {"callbacks__resume__keep": True},
    ],
)
def test_what_changes_no_bit_may_change(interrupted, change, capsys):
    net = make(interrupted()).set_params(**change)
    seed_all(0)
    whole = make(None).fit(X, Y)
    assert_same(weights_of(whole), weights_of(net.fit(X, Y)))


def test_a_resumed_fit_says_where_it_goes_on(interrupted, capsys):
    make(interrupted(), verbose=1).fit(X, Y)
    assert "Going on after epoch 5 from" in capsys.readouterr().out


def test_a_resumed_fit_prints_all_epochs_that_it_trains(interrupted, capsys):
    make(interrupted(), verbose=1).fit(X, Y)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[-3:]] == ["6", "7", "8"]


def test_a_row_of_the_history_is_pickled_once(monkeypatch):
    pickled = []
    monkeypatch.setattr(
        _net_state.pickle, "dumps", lambda row, protocol: pickled.append(row["epoch"])
    )
    rows, history = _net_state.PickledRows(), []
    for epoch in (1, 2, 3):
        history.append({"epoch": epoch})
        rows.update(history)
    assert pickled == [1, 2, 3]


@pytest.mark.parametrize("change", [{"event": True}, {"batches": []}], ids=str)
def test_an_old_row_of_the_history_that_has_changed_is_pickled_again(change):
    rows = _net_state.PickledRows()
    history = [{"batches": [1]}, {}]
    rows.update(history)
    history[0].update(change)
    assert list(map(pickle.loads, rows.update(history))) == history


@pytest.mark.parametrize("end", [break_off, interrupt])
def test_an_interrupted_net_is_as_it_was_made(interrupted, end, monkeypatch):
    path = interrupted(end=end)
    net = make(path)
    step = at_call(2, NeuralNet.train_step_single, end)
    monkeypatch.setattr(NeuralNet, "train_step_single", step)
    with suppress(BreakOffError):
        net.fit(X, Y)
    names = [name for name, _ in net.callbacks_]
    assert (net.max_epochs, names) == (
        EPOCHS,
        [n for n, _ in make(path).initialize().callbacks_],
    )
    assert path.exists()


class Writer:
    """Be of one process alone, as the file of a log is."""

    def __init__(self):
        self.lock = threading.Lock()
        self.name = f"events {random.SystemRandom().random()}"


class Run:
    """Be another one in each process, though it can be pickled."""

    def __init__(self):
        self.id = random.SystemRandom().random()


class Log(Callback):
    def __init__(self, writer):
        self.writer = writer


class QuietBoard(TensorBoard):
    def on_epoch_end(self, net, **kwargs):
        pass


@pytest.mark.parametrize(
    "log",
    [lambda: Log(Writer()), lambda: QuietBoard(Run(), False)],
    ids=["own", "skorch's"],
)
def test_a_fit_goes_on_with_another_writer_of_a_log(interrupted, log):
    path = interrupted(callbacks=[log()])
    resumed = make(path, callbacks=[log()]).fit(X, Y)
    seed_all(0)
    assert_same(weights_of(make(None).fit(X, Y)), weights_of(resumed))


def test_a_full_disk_is_named_and_the_state_before_kept(interrupted, monkeypatch):
    def fail(number):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = interrupted()
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=r"path=.*No space left.*Free space") as caught:
        make(path).fit(X, Y)
    assert caught.value.errno == errno.ENOSPC
    assert os.listdir(path.parent) == ["state"]
    assert path.read_bytes() == before


def test_a_process_that_begins_the_same_fit_meanwhile_disturbs_no_writing(
    tmp_path, monkeypatch
):
    fit = {"parameters": {}, "data": {}, "versions": {}}
    one, two = (StateFile(tmp_path / "state", fit, "path") for _ in range(2))
    begins = at_call(1, os.fsync, lambda number: two.load())
    monkeypatch.setattr(os, "fsync", begins)
    one.write("state of one", 1)
    assert two.load() == "state of one"


def test_a_fit_that_began_beside_another_one_refuses_its_file(tmp_path):
    one, two = (
        StateFile(
            tmp_path / "state", {"parameters": {"k": k}, "data": {}, "versions": {}}, ""
        )
        for k in (20, 30)
    )
    assert one.load() is None
    two.write("state of two", 1)
    with pytest.raises(ValueError, match="k was 30 there and is 20 here"):
        one.write("state of one", 0)
    assert os.listdir(tmp_path) == ["state"]
    assert two.load() == "state of two"


class MoveAway(Callback):
    """Go to another folder while the net trains."""

    def __init__(self, folder):
        self.folder = folder

    def on_epoch_end(self, net, **kwargs):
        os.chdir(self.folder)


def test_training_may_change_the_folder_that_a_path_is_relative_to(
    tmp_path, monkeypatch
):
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    make("state", None, None, MoveAway(tmp_path / "other")).fit(X, Y)
    assert os.listdir(tmp_path) == ["other"]


def test_an_empty_path_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"path='' names no file\. Name one"):
        make("").fit(X, Y)


def test_a_training_that_fails_before_its_first_epoch_blocks_no_other(interrupted):
    path = interrupted(epoch=1)
    make(path, lr=0.02).fit(X, Y)
    assert not path.exists()


class Enough(Callback):
    """Ends the training after three epochs."""

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 3:
            self.has_ended_training = True
            raise KeyboardInterrupt


class SilentlyEnough(Enough):
    has_ended_training = property(lambda self: False, lambda self, value: None)


@pytest.mark.parametrize("kind", [Enough, SilentlyEnough])
def test_a_callback_that_ends_the_training_may_say_so(tmp_path, kind):
    path = tmp_path / "state"
    make(path, callbacks=[kind()]).fit(X, Y)
    assert path.exists() == (kind is SilentlyEnough)


def test_a_kept_checkpoint_holds_the_end(tmp_path, monkeypatch):
    path = tmp_path / "state"
    keep = {"callbacks__resume__keep": True}
    whole = make(path, "the method at a plateau").set_params(**keep).fit(X, Y)
    end = end_of(whole)
    monkeypatch.setattr(NeuralNet, "train_step_single", None)  # nothing is trained
    for _ in range(2):
        again = make(path, "the method at a plateau").set_params(**keep).fit(X, Y)
        assert_same(end, end_of(again))


def test_a_fit_that_was_killed_at_its_end_trains_nothing_more(tmp_path, monkeypatch):
    path, case = tmp_path / "state", "adam, dropout, rows drawn"
    with monkeypatch.context() as patch, suppress(BreakOffError):
        patch.setattr(StateFile, "remove", break_off)
        seed_all(0)
        make(path, case).fit(X, Y)
    seed_all(0)
    whole = end_of(make(None, case).fit(X, Y))
    monkeypatch.setattr(NeuralNet, "train_step_single", None)
    assert_same(whole, end_of(make(path, case).fit(X, Y)))


def test_the_state_is_written_each_so_many_epochs_and_at_both_ends(
    tmp_path, monkeypatch
):
    written = []
    monkeypatch.setattr(
        StateFile, "write", lambda self, state, epochs: written.append(epochs)
    )
    make(None, callbacks=[FitCheckpoint(tmp_path / "state", every=3)]).fit(X, Y)
    assert written == [0, 3, 6, 8]


def test_partial_fit_goes_on_too(interrupted):
    path = interrupted()
    resumed = make(path).partial_fit(X, Y)
    seed_all(0)
    assert_same(weights_of(make(None).fit(X, Y)), weights_of(resumed))


def test_a_training_from_other_weights_is_another_fit(tmp_path):
    keep = FitCheckpoint(tmp_path / "state", keep=True)
    net = make(None, warm_start=True, callbacks=[keep]).fit(X, Y)
    with pytest.raises(ValueError, match=r"module_\.layers\.0\.weight, from which"):
        net.fit(X, Y)


def test_each_training_of_a_warm_start_goes_on(tmp_path, monkeypatch):
    def train_twice(path):
        seed_all(0)
        net = make(None, warm_start=True).fit(X, Y)
        net.set_params(callbacks=[] if path is None else [FitCheckpoint(path)])
        net.initialize_callbacks()
        return net

    path = tmp_path / "state"
    with monkeypatch.context() as patch, suppress(BreakOffError):
        net = train_twice(path)
        step = at_call(28, NeuralNet.train_step_single, break_off)
        patch.setattr(NeuralNet, "train_step_single", step)
        net.fit(X, Y)
    whole, resumed = train_twice(None).fit(X, Y), train_twice(path).fit(X, Y)
    assert_same(weights_of(whole), weights_of(resumed))
    assert len(resumed.history) == len(whole.history) == 2 * EPOCHS


def test_a_folder_has_a_file_for_each_fit_of_a_search(tmp_path):
    net = make(None, callbacks=[("resume", FitCheckpoint(tmp_path, keep=True))])
    GridSearchCV(net, {"lr": [0.01, 0.02]}, cv=2, refit=False).fit(X, Y)
    assert len(list(tmp_path.iterdir())) == 4


def test_another_place_than_the_last_is_refused(tmp_path):
    callbacks = [FitCheckpoint(tmp_path / "state"), ("noise", Noise())]
    with pytest.raises(ValueError, match=r"last of callbacks is 'noise', Noise\. Move"):
        make(None, callbacks=callbacks).fit(X, Y)


def test_two_are_refused_and_the_first_is_named(tmp_path):
    first, second = FitCheckpoint(tmp_path / "one"), FitCheckpoint(tmp_path / "two")
    with pytest.raises(ValueError, match=r"path=.*one'\).* have one alone"):
        make(None, callbacks=[first, second]).fit(X, Y)


def test_a_net_that_accelerate_trains_is_refused(tmp_path):
    net = make(tmp_path / "state")
    net.accelerator = object()
    with pytest.raises(ValueError, match="training of one process"):
        net.fit(X, Y)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"path=.*there is no folder"):
        make(tmp_path / "none" / "state").fit(X, Y)


def test_a_file_that_is_no_checkpoint_is_refused_and_left(tmp_path):
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(X))
    with pytest.raises(ValueError, match=r"path=.*model\.pkl.* is no checkpoint"):
        make(path).fit(X, Y)
    assert np.array_equal(pickle.loads(path.read_bytes()), X)


@pytest.mark.parametrize("change", [{"path": 3}, {"every": 0}, {"keep": "yes"}])
def test_bad_parameters_are_named(tmp_path, change):
    callback = FitCheckpoint(**{"path": tmp_path / "state", **change})
    with pytest.raises(ValueError, match=f"The '{next(iter(change))}' parameter"):
        make(None, callbacks=[callback]).fit(X, Y)


class Unpicklable(Callback):
    def initialize(self):
        self.rows_ = (row for row in ())
        return self


def test_a_memory_that_cannot_be_pickled_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"'Unpicklable' .* attribute rows_ cannot"):
        make(tmp_path / "state", None, None, Unpicklable()).fit(X, Y)
    assert os.listdir(tmp_path) == []


def test_an_estimator_refuses_it_and_names_its_own_parameter(tmp_path):
    callbacks = [FitCheckpoint(tmp_path / "state")]
    with pytest.raises(ValueError, match=r"skorch_callbacks.*Use checkpoint="):
        HessianRegularizedMLPClassifier(skorch_callbacks=callbacks).fit(X, Y)


@pytest.mark.parametrize(
    "value",
    [
        torch.ones(2, dtype=torch.bfloat16),
        torch.ones(3, requires_grad=True),
        torch.arange(6.0).reshape(2, 3).T,
        torch.tensor(1.5),
        torch.ones(2, 2).to_sparse(),
        torch.complex(torch.ones(2), torch.ones(2)).conj(),
    ],
    ids=lambda value: str(value.dtype) + str(value.layout),
)
def test_tensors_come_back_from_the_file(value, tmp_path):
    place = StateFile(
        tmp_path / "state", {"parameters": {}, "data": {}, "versions": {}}, "path"
    )
    place.write({"value": value}, 1)
    back = place.load()["value"]
    assert (back.dtype, back.layout, back.requires_grad) == (
        value.dtype,
        value.layout,
        value.requires_grad,
    )
    assert torch.equal(back.to_dense(), value.to_dense())
