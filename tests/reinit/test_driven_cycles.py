"""Cycles that who trains the net ends, with HessianReinit(monitor=None)."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
from torch import nn

from sklearn_hessreg import HessianReinit

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5)).astype("float32")
Y = (X[:, 0] > 0).astype("int64")


class Driver(Callback):
    """End cycles as an engine does, at a plateau after the epochs named."""

    def __init__(self, plateaus):
        self.plateaus = plateaus

    def on_epoch_end(self, net, **kwargs):
        method = method_of(net)
        epoch = method.cycles_.progress.epochs
        if method.is_cycle_over(epoch in self.plateaus):
            method.end_cycle(net, score=epoch / 10)


def train(*plateaus, epochs, **options):
    """Train a net whose cycles the driver ends."""
    torch.manual_seed(0)
    options = {"k": 50, "n": 2, "importance": "random", "random_state": 0, **options}
    net = NeuralNetClassifier(
        lambda: nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2)),
        criterion=nn.CrossEntropyLoss,
        max_epochs=epochs,
        train_split=None,
        verbose=0,
        callbacks=[
            ("reinit", HessianReinit(monitor=None, **options)),
            ("driver", Driver(plateaus)),
        ],
    )
    return net.fit(X, Y)


def method_of(net):
    return dict(net.callbacks_)["reinit"]


def epochs_of(snapshots):
    return [snapshot["epoch"] for snapshot in snapshots]


def events_of(net):
    return [record["epoch"] for record in method_of(net).reinit_history_[::2]]


def test_an_event_follows_each_cycle_that_is_ended():
    net = train(2, 5, epochs=7)
    assert epochs_of(method_of(net).snapshots_) == [2, 5]
    assert events_of(net) == [3, 6]


def test_an_integer_ends_cycles_without_a_plateau():
    net = train(epochs=5, reinit_every=2)
    assert epochs_of(method_of(net).snapshots_) == [2, 4]
    assert events_of(net) == [3, 5]


def test_the_end_of_a_training_changes_no_weight_and_keeps_nothing():
    net = train(2, epochs=3)
    method = method_of(net)
    before = copy.deepcopy(net.module_.state_dict())
    method.on_train_end(net)
    assert epochs_of(method.snapshots_) == [2]
    for name, tensor in net.module_.state_dict().items():
        assert torch.equal(tensor, before[name])


@pytest.mark.parametrize("plateaus", [(), (2,), (2, 4)])
def test_training_is_complete_with_n_snapshots(plateaus):
    method = method_of(train(*plateaus, epochs=5, n_snapshots=2))
    assert method.is_complete == (len(plateaus) == 2)


def test_training_is_never_complete_under_an_integer():
    assert not method_of(train(epochs=5, reinit_every=1, n_snapshots=2)).is_complete


def test_the_oldest_snapshots_are_dropped():
    method = method_of(train(1, 2, 3, 4, epochs=5, n_snapshots=2))
    assert epochs_of(method.snapshots_) == [3, 4]


@pytest.mark.parametrize("reinit_every", [1, "plateau"])
def test_k_0_ends_no_cycle_and_predicts_by_the_net(reinit_every):
    net = train(1, 2, epochs=3, k=0, reinit_every=reinit_every)
    assert method_of(net).snapshots_ == []
    assert not method_of(net).is_complete
    (member,) = method_of(net).members(net, 0.3)
    assert (member["cycle"], member["epoch"], member["score"]) == (1, 3, 0.3)


@pytest.mark.parametrize(
    ("score", "lower_is_better", "epochs"),
    [
        (0.2, True, [1, 2, 3]),  # as good as the worst, that of epoch 2
        (0.3, True, [1, 2]),
        (0.1, False, [1, 2, 3]),  # as good as the worst, that of epoch 1
        (0.0, False, [1, 2]),
        (math.nan, False, [1, 2]),
        (None, True, [1, 2]),
    ],
)
def test_the_network_in_training_is_a_member_if_it_counts(
    score, lower_is_better, epochs
):
    net = train(1, 2, epochs=3, lower_is_better=lower_is_better)
    assert epochs_of(method_of(net).members(net, score)) == epochs


def test_a_cycle_without_epochs_is_no_member():
    net = train(1, 2, epochs=2)
    assert epochs_of(method_of(net).members(net, 0.0)) == [1, 2]


def test_members_are_as_many_as_snapshots_are_kept():
    net = train(1, 2, epochs=3, n_snapshots=2)
    assert epochs_of(method_of(net).members(net, 0.0)) == [2, 3]
    assert epochs_of(method_of(net).snapshots_) == [1, 2]


def test_a_member_in_training_has_the_nets_weights():
    net = train(1, epochs=2)
    member = method_of(net).members(net, 0.0)[-1]
    for name, tensor in net.module_.state_dict().items():
        np.testing.assert_array_equal(member["weights"][name], tensor.numpy())


def test_another_training_begins_without_snapshots_and_without_an_event():
    net = train(2, 4, epochs=4)  # an event would be due
    method_of(net).forget_snapshots()
    assert method_of(net).snapshots_ == []
    net.partial_fit(X, Y, epochs=2)
    assert events_of(net) == [3]
    (member,) = method_of(net).members(net, None)
    assert (member["cycle"], member["epoch"]) == (3, 6)


def test_a_dumped_callback_goes_on_where_it_was():
    method = method_of(train(2, epochs=3))
    loaded = pickle.loads(pickle.dumps(method))
    assert loaded.cycles_.progress == method.cycles_.progress
    assert epochs_of(loaded.snapshots_) == [2]
    assert not loaded.cycles_.is_due


def test_a_due_event_survives_a_dump():
    method = method_of(train(2, epochs=2))
    assert pickle.loads(pickle.dumps(method)).cycles_.is_due
