"""FitCheckpoint stores what a skorch net of one's own keeps in its attributes."""

import threading

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier

from sklearn_hessreg import FitCheckpoint

X, Y = np.eye(64, 4, dtype="float32"), np.arange(64) % 2
KILLED = 5  # in this epoch


class KilledError(Exception):
    pass


class Scaler:
    """An object with a state of its own, as torch's GradScaler is."""

    def __init__(self):
        self.scale = 1.0

    def state_dict(self):
        return {"scale": self.scale}

    def load_state_dict(self, state):
        self.scale = state["scale"]


class Net(NeuralNetClassifier):
    """Trains by a loss that depends on what it has learnt so far."""

    steps_ = 0
    kill_ = False
    losses = ()

    def initialize(self):
        self.scaler = Scaler()
        self.mean_ = torch.zeros(2, 4)
        self.lock_ = threading.Lock()
        return super().initialize()

    def get_loss(self, *args, training=False, **kwargs):
        if self.kill_ and len(self.history) == KILLED:
            raise KilledError("killed")
        loss = super().get_loss(*args, training=training, **kwargs) * self.scaler.scale
        if training:
            self.steps_ += 1
            self.scaler.scale *= 0.99
            self.losses = [*self.losses, loss.item()]
            self.mean_ = 0.9 * self.mean_ + 0.1 * self.module_.weight.detach()
        return loss * min(1, self.steps_ / 20)


def make(*callbacks):
    torch.manual_seed(0)
    return Net(
        torch.nn.Linear(4, 2),
        criterion=torch.nn.CrossEntropyLoss,
        max_epochs=8,
        batch_size=16,
        verbose=0,
        train_split=None,
        callbacks=list(callbacks),
    )


@pytest.fixture
def resumed(tmp_path):
    path = tmp_path / "night"
    killed = make(FitCheckpoint(path))
    killed.kill_ = True
    with pytest.raises(KilledError):
        killed.fit(X, Y)
    return make(FitCheckpoint(path)).fit(X, Y)


@pytest.mark.parametrize(
    "read",
    [
        lambda net: net.steps_,
        lambda net: net.losses,
        lambda net: net.scaler.scale,
        lambda net: net.mean_.tolist(),
        lambda net: net.module_.weight.tolist(),
    ],
    ids=["steps_", "losses", "scaler", "mean_", "weights"],
)
def test_an_attribute_ends_as_in_a_fit_that_was_not_killed(resumed, read):
    assert read(resumed) == read(make().fit(X, Y))


def test_what_was_set_before_training_is_that_of_the_new_process(resumed):
    assert resumed.kill_ is False


def test_a_batch_size_that_training_changes_is_stored(tmp_path):
    class Growing(Net):
        def on_epoch_end(self, net, **kwargs):
            self.batch_size *= 2

    assert_stored(Growing, tmp_path / "night", "batch_size")


def assert_stored(kind, path, name):
    """Compare an attribute of a killed and resumed fit with that of a whole one."""
    nets = [make(), make(FitCheckpoint(path)), make(FitCheckpoint(path))]
    for net, kill in zip(nets, [False, True, False], strict=True):
        net.__class__ = kind
        net.kill_ = kill
        try:
            net.fit(X, Y)
        except KilledError:
            assert kill
    assert getattr(nets[2], name) == getattr(nets[0], name)


def test_a_net_may_say_itself_what_is_stored(tmp_path):
    class Told(Net):
        def on_epoch_end(self, net, **kwargs):
            self.door_ = threading.Lock()  # is not looked at

        def get_extra_state(self):
            return {"steps": self.steps_}

        def set_extra_state(self, state):
            self.steps_ = state["steps"]

    assert_stored(Told, tmp_path / "night", "steps_")


def test_what_training_makes_and_cannot_be_pickled_is_named(tmp_path):
    class Locked(Net):
        def on_epoch_end(self, net, **kwargs):
            self.door_ = threading.Lock()

    net = make(FitCheckpoint(tmp_path / "night"))
    net.__class__ = Locked
    with pytest.raises(ValueError, match=r"Locked cannot be stored.*door_ cannot"):
        net.fit(X, Y)


def test_an_object_that_is_not_made_again_is_named(tmp_path):
    class Late(Net):
        def on_epoch_end(self, net, **kwargs):
            self.late_ = Scaler()

    path = tmp_path / "night"
    for kill, error, message in (
        (True, KilledError, "killed"),
        (False, ValueError, "Late had an object in late_"),
    ):
        net = make(FitCheckpoint(path))
        net.__class__, net.kill_ = Late, kill
        with pytest.raises(error, match=message):
            net.fit(X, Y)
