"""Cycles and snapshots of HessianReinit, to the bit those of a plain loop."""

import copy
import math
import pickle
import re
from contextlib import nullcontext
from functools import partial

import joblib
import numpy as np
import pytest
import torch
from plain_loop import BATCH, error_rate, train
from settings import PAPER
from sklearn.exceptions import NotFittedError
from skorch import NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import Callback
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from torch import nn

from sklearn_hessreg import HessianReinit
from sklearn_hessreg._reinit._snapshots import take_weights, write_weights

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 5)).astype("float32")
Y = (X[:, 0] * X[:, 1] + 0.5 * RNG.normal(size=90) > 0).astype("int64")
TRAIN, VALID = (X[:60], Y[:60]), (X[60:], Y[60:])
EVENT = {"importance": "magnitude", "k": 40, "n": 2}
PLATEAU = {"tol": 0.01, "n_iter_no_change": 2}


class Net(nn.Module):
    """A small network with buffers."""

    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(5, 8)
        self.norm = nn.BatchNorm1d(8)
        self.out = nn.Linear(8, 2)

    def forward(self, x):
        return self.out(torch.tanh(self.norm(self.hidden(x))))


def make_net(*callbacks, epochs=30, optimizer=torch.optim.Adam, lr=0.05, **method):
    """Make a net with the callback and others behind it."""
    torch.manual_seed(0)
    reinit = HessianReinit(**{**PAPER, **EVENT, "random_state": 0, **method})
    return NeuralNetClassifier(
        Net,
        criterion=nn.CrossEntropyLoss,
        optimizer=optimizer,
        lr=lr,
        max_epochs=epochs,
        batch_size=BATCH,
        train_split=predefined_split(Dataset(*VALID)),
        verbose=0,
        callbacks=[("reinit", reinit), *callbacks],
    )


def plain(epochs=30, optimizer=torch.optim.Adam, lr=0.05, samples=256, **options):
    """Train the same network by the plain loop."""
    torch.manual_seed(0)
    module = Net()
    optimizer = optimizer(module.parameters(), lr=lr)
    options = {**EVENT, "samples": samples, **options}
    return train(module, optimizer, TRAIN, VALID, epochs, **options)


def method_of(net):
    return dict(net.callbacks_)["reinit"]


def epochs_of(net):
    return [snapshot["epoch"] for snapshot in method_of(net).snapshots_]


def assert_same_weights(arrays, tensors):
    assert arrays.keys() == tensors.keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(arrays[name], tensor.numpy())


def assert_same(net, expected, sign=1):
    """Compare snapshots, events and the net's weights with the plain loop's."""
    snapshots, events = expected
    method = method_of(net)
    assert epochs_of(net) == [epoch for epoch, _, _ in snapshots]
    scores = [snapshot["score"] for snapshot in method.snapshots_]
    assert scores == [sign * score for _, score, _ in snapshots]
    for snapshot, (_, _, weights) in zip(method.snapshots_, snapshots, strict=True):
        assert_same_weights(snapshot["weights"], weights)
    assert [record["epoch"] for record in method.reinit_history_[::2]] == events
    assert_same_weights(method.snapshots_[-1]["weights"], net.module_.state_dict())


@pytest.mark.parametrize("load_best", [False, True])
@pytest.mark.parametrize(
    ("method", "options"),
    [
        (PLATEAU, {"tol": 0.01, "patience": 2}),
        ({"reinit_every": 4}, {"every": 4}),
    ],
    ids=["plateau", "integer"],
)
@pytest.mark.parametrize(
    ("event", "optimizer"),
    [
        ({"importance": "hessian"}, torch.optim.Adam),
        ({"importance": "hessian", "samples": 16}, torch.optim.SGD),
        ({"importance": "magnitude"}, torch.optim.SGD),
        ({"importance": "random"}, torch.optim.Adam),
    ],
    ids=["hessian", "few samples", "magnitude", "random"],
)
def test_cycles_are_those_of_the_plain_loop(
    event, optimizer, method, options, load_best
):
    samples = event.get("samples", 256)
    shared = {"importance": event["importance"], "load_best": load_best}
    shared["optimizer"] = optimizer
    net = make_net(hessian_samples=samples, **method, **shared).fit(*TRAIN)
    expected = plain(samples=samples, **options, **shared)
    assert len(expected[1]) >= 3
    assert_same(net, expected)


@pytest.mark.parametrize("load_best", [False, True])
def test_a_score_of_which_more_is_better_is_watched(load_best):
    net = make_net(
        **{**PLATEAU, "monitor": "valid_acc", "lower_is_better": False},
        load_best=load_best,
    ).fit(*TRAIN)
    options = {"tol": 0.01, "patience": 2, "load_best": load_best}
    expected = plain(monitor=error_rate, **options)
    assert len(expected[1]) >= 3
    assert_same(net, expected, sign=-1)


def test_training_ends_with_the_last_snapshot_at_a_plateau():
    net = make_net(**PLATEAU, n_snapshots=3, epochs=200).fit(*TRAIN)
    assert len(net.history) < 200
    assert epochs_of(net)[-1] == len(net.history)
    assert method_of(net).is_complete
    assert_same(net, plain(tol=0.01, patience=2, n_snapshots=3, epochs=200))


def test_the_last_snapshots_are_kept_under_an_integer():
    net = make_net(reinit_every=2, n_snapshots=3, epochs=10).fit(*TRAIN)
    assert epochs_of(net) == [6, 8, 10]
    assert not method_of(net).is_complete
    assert_same(net, plain(every=2, n_snapshots=3, epochs=10))


def test_the_first_cycle_counts_wherever_it_was_cut_off():
    net = make_net(reinit_every=5, epochs=3).fit(*TRAIN)
    assert epochs_of(net) == [3]
    assert_same(net, plain(every=5, epochs=3))


class Column(Callback):
    """Write a column of made up losses into the history."""

    def __init__(self, *losses):
        self.losses = losses

    def on_epoch_end(self, net, **kwargs):
        net.history.record("made_up", self.losses[len(net.history) - 1])


def with_losses(*losses, **method):
    """Train for as many epochs on made up losses."""
    net = make_net(monitor="made_up", epochs=len(losses), **method)
    net.callbacks.insert(0, ("column", Column(*losses)))
    return net


@pytest.mark.parametrize(
    ("last", "epochs"), [(0.4, [2, 4, 5]), (0.5, [2, 4, 5]), (0.6, [2, 4])]
)
def test_a_cycle_cut_off_counts_unless_it_is_worse_than_the_worst(last, epochs):
    net = with_losses(0.9, 0.5, 0.9, 0.3, last, reinit_every=2).fit(*TRAIN)
    assert epochs_of(net) == epochs


def test_of_a_cycle_cut_off_the_best_epoch_counts_with_load_best():
    net = with_losses(0.5, 0.5, 0.5, 0.4, 0.9, reinit_every=3, load_best=True)
    last = method_of(net.fit(*TRAIN)).snapshots_[-1]
    assert (last["cycle"], last["epoch"], last["score"]) == (2, 5, 0.4)


def test_a_cycle_that_does_not_count_leaves_the_last_snapshots_network():
    net = with_losses(0.5, 0.5, 0.9, reinit_every=2).fit(*TRAIN)
    assert epochs_of(net) == [2]
    weights = method_of(net).snapshots_[-1]["weights"]
    assert_same_weights(weights, net.module_.state_dict())


def test_nan_is_worse_than_every_other_score():
    net = with_losses(0.5, 0.5, math.nan, reinit_every=2).fit(*TRAIN)
    assert epochs_of(net) == [2]
    net = with_losses(0.5, math.nan, 0.9, reinit_every=2).fit(*TRAIN)
    assert epochs_of(net) == [2, 3]


def test_patience_begins_anew_with_each_cycle():
    # the best loss of all is that of epoch 1
    losses = [0.1, 0.5, 0.5, 0.9, 0.8, 0.7, 0.6, 0.6, 0.6]
    net = with_losses(*losses, tol=0.05, n_iter_no_change=1).fit(*TRAIN)
    assert [s["epoch"] for s in method_of(net).cycles_.kept] == [3, 9]


def test_no_cycle_ends_after_reinit_until():
    net = make_net(reinit_every=2, reinit_until=5, epochs=9).fit(*TRAIN)
    assert [snapshot["epoch"] for snapshot in method_of(net).cycles_.kept] == [2, 4]


@pytest.mark.parametrize("load_best", [False, True])
@pytest.mark.parametrize("schedule", [PLATEAU, {"reinit_every": 4}])
@pytest.mark.parametrize("first", [1, 2, 6, 7, 8, 11])
def test_a_dumped_net_goes_on_in_the_middle_of_a_cycle(first, schedule, load_best):
    options = {**schedule, "load_best": load_best, "importance": "random"}
    whole = make_net(**options, epochs=18).fit(*TRAIN)
    net = make_net(**options).initialize().partial_fit(*TRAIN, epochs=first)
    again = pickle.loads(pickle.dumps(net)).partial_fit(*TRAIN, epochs=18 - first)
    assert_as(again, whole)


@pytest.mark.parametrize("load_best", [False, True])
@pytest.mark.parametrize("schedule", [PLATEAU, {"reinit_every": 4}])
def test_epochs_one_by_one_are_those_of_one_training(schedule, load_best):
    whole = make_net(**schedule, load_best=load_best, epochs=18).fit(*TRAIN)
    net = make_net(**schedule, load_best=load_best, epochs=1).initialize()
    for _ in range(18):
        net.partial_fit(*TRAIN)
    assert_as(net, whole)


def assert_as(net, whole):
    """Compare two nets' snapshots and weights."""
    assert epochs_of(net) == epochs_of(whole)
    for one, other in zip(
        method_of(net).snapshots_, method_of(whole).snapshots_, strict=True
    ):
        assert (one["cycle"], one["score"]) == (other["cycle"], other["score"])
        for name, array in other["weights"].items():
            np.testing.assert_array_equal(one["weights"][name], array)
    for a, b in zip(net.module_.parameters(), whole.module_.parameters(), strict=True):
        assert torch.equal(a, b)


def test_weights_changed_between_two_trainings_are_trained_on():
    net = with_losses(0.5, 0.5, 0.9, 0.9, lr=0, reinit_every=2)
    net.initialize().partial_fit(*TRAIN, epochs=3)  # with a cycle that is put aside
    nn.init.zeros_(net.module_.out.weight)
    net.partial_fit(*TRAIN, epochs=1)
    assert (net.module_.out.weight == 0).all()


def test_a_complete_training_goes_on_with_one_more_cycle_in_each_call():
    net = make_net(**PLATEAU, n_snapshots=2, epochs=100).fit(*TRAIN)
    before = method_of(net).snapshots_
    net.partial_fit(*TRAIN)
    after = method_of(net).snapshots_
    assert after[0] is before[1]
    assert [snapshot["cycle"] for snapshot in after] == [2, 3]


def test_records_name_the_cycle_that_begins_and_the_score_of_the_one_before():
    method = method_of(make_net(reinit_every=3, epochs=10).fit(*TRAIN))
    records = method.reinit_history_[::2]
    assert [(r["epoch"], r["cycle"]) for r in records] == [(4, 2), (7, 3), (10, 4)]
    scores = [snapshot["score"] for snapshot in method.snapshots_[:3]]
    assert [record["monitored"] for record in records] == scores


def test_k_0_ends_no_cycle_and_keeps_nothing():
    net = make_net(k=0, **PLATEAU, monitor="nothing", epochs=30).fit(*TRAIN)
    assert len(net.history) == 30
    assert method_of(net).snapshots_ == []
    with pytest.raises(NotFittedError, match=r"k=0.*predict_proba"):
        method_of(net).average(net, X)


def test_initialize_forgets_everything():
    net = make_net(reinit_every=2, epochs=5)
    first = method_of(net.fit(*TRAIN)).snapshots_
    again = method_of(net.fit(*TRAIN)).snapshots_
    assert [s["cycle"] for s in again] == [s["cycle"] for s in first]
    assert [s["epoch"] for s in again] == [s["epoch"] for s in first]


@pytest.mark.parametrize("schedule", ["plateau", 2])
def test_without_validation_data_the_training_loss_is_watched(schedule):
    options = {"reinit_every": schedule, "n_iter_no_change": 1, "tol": 10.0}
    net = make_net(**options, epochs=6).set_params(train_split=None).fit(*TRAIN)
    scores = [snapshot["score"] for snapshot in method_of(net).snapshots_]
    assert len(scores) > 1
    assert set(scores) <= set(net.history[:, "train_loss"])


@pytest.mark.parametrize("n_snapshots", [1, 3])
def test_an_integer_schedule_needs_no_column(n_snapshots):
    net = make_net(reinit_every=2, n_snapshots=n_snapshots, epochs=6)
    unrecorded = {"callbacks__train_loss": None, "callbacks__valid_loss": None}
    net.set_params(train_split=None, **unrecorded).fit(*TRAIN)
    found = [(s["epoch"], s["score"]) for s in method_of(net).snapshots_]
    assert found == [(2, None), (4, None), (6, None)][-n_snapshots:]


@pytest.mark.parametrize("load_best", [True, False])
def test_a_cycle_without_a_finite_value_is_an_error(load_best):
    net = with_losses(*[math.nan] * 5, n_iter_no_change=1, load_best=load_best)
    with pytest.raises(ValueError, match="'made_up' was never finite in the last"):
        net.fit(*TRAIN)


@pytest.mark.parametrize("monitor", ["valid_loss", "nothing"])
def test_a_missing_column_is_an_error_that_names_those_there(monitor):
    net = make_net(monitor=monitor).set_params(train_split=None)
    with pytest.raises(ValueError, match=rf"'{monitor}' is missing.*\['dur', 'train_"):
        net.fit(*TRAIN)
    assert len(net.history) == 1
    net.set_params(callbacks__reinit__monitor="train_loss").fit(*TRAIN)


def test_a_column_without_numbers_is_an_error():
    with pytest.raises(ValueError, match="'made_up' holds 'low'"):
        with_losses("low").fit(*TRAIN)


class Interrupt(Callback):
    """Interrupt the training in the second batch of an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_batch_end(self, net, training=False, **kwargs):
        row = net.history[-1]
        if training and row["epoch"] == self.epoch and len(row["batches"]) == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize(("epoch", "epochs"), [(1, [1]), (3, [2])])
def test_an_epoch_interrupted_has_no_score(epoch, epochs):
    net = make_net(("interrupt", Interrupt(epoch)), reinit_every=2).fit(*TRAIN)
    assert epochs_of(net) == epochs


def test_snapshots_are_shared_by_copies_and_cannot_be_written_to():
    method = method_of(make_net(reinit_every=2, epochs=4).fit(*TRAIN))
    array = method.snapshots_[0]["weights"]["out.weight"]
    assert copy.copy(method).snapshots_[0]["weights"]["out.weight"] is array
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 0


def test_snapshots_predict_from_a_mapped_file(tmp_path):
    net = make_net(reinit_every=2, epochs=5).fit(*TRAIN)
    joblib.dump(net, tmp_path / "net")
    loaded = joblib.load(tmp_path / "net", mmap_mode="r")
    expected = method_of(net).average(net, X)
    np.testing.assert_array_equal(method_of(loaded).average(loaded, X), expected)


def largest_sum(module):
    """Bound every sum that an output is made of, by its terms' absolute values."""
    hidden, norm, out = module.hidden, module.norm, module.out
    factor = norm.weight.abs() / (norm.running_var + norm.eps).sqrt()
    with torch.no_grad():
        sums = torch.from_numpy(X).abs() @ hidden.weight.abs().T + hidden.bias.abs()
        sums = factor * (sums + norm.running_mean.abs()) + norm.bias.abs()
        return (sums @ out.weight.abs().T + out.bias.abs()).max().item()


def test_average_is_the_mean_over_the_snapshots_networks():
    net = make_net(reinit_every=2, epochs=6).fit(*TRAIN)
    expected = []
    for snapshot in method_of(net).snapshots_:
        module = Net().eval()
        arrays = {name: np.array(w) for name, w in snapshot["weights"].items()}
        module.load_state_dict(
            {name: torch.from_numpy(w) for name, w in arrays.items()}
        )
        with torch.no_grad():
            expected.append(module(torch.from_numpy(X)).softmax(1).numpy())
    averaged = method_of(net).average(net, X)
    # skorch's batches of 20 rows are other products than that of all 90: each of 6, 4,
    # 9 and 4 roundings, in the layers and the softmax, may be another one
    atol = (6 + 4 + 9 + 4) * np.finfo("float32").eps * largest_sum(module)
    np.testing.assert_allclose(averaged, np.mean(expected, axis=0), rtol=0, atol=atol)


@pytest.mark.parametrize("method", ["predict_proba", "no_method"])
def test_average_leaves_the_module_as_it_was(method):
    net = make_net(reinit_every=2, epochs=6).fit(*TRAIN)
    nn.init.zeros_(net.module_.out.weight)
    before = copy.deepcopy(net.module_.state_dict())
    missing = method == "no_method"
    with pytest.raises(AttributeError) if missing else nullcontext():
        method_of(net).average(net, X, method)
    for name, tensor in net.module_.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_labels_are_not_averaged():
    net = make_net(reinit_every=2, epochs=4).fit(*TRAIN)
    with pytest.raises(ValueError, match=r"'predict'.*'predict_proba'"):
        method_of(net).average(net, X, "predict")


def test_average_of_a_callback_without_a_net_is_an_error():
    with pytest.raises(NotFittedError, match="no snapshot"):
        HessianReinit().average(make_net(), X)


def test_predictions_of_a_regressor_are_averaged():
    net = NeuralNetRegressor(
        partial(nn.Linear, 5, 1),
        max_epochs=4,
        verbose=0,
        callbacks=[("reinit", HessianReinit(reinit_every=2, random_state=0))],
    ).fit(X, X[:, :1])
    method = method_of(net)
    W, b = (
        np.mean([s["weights"][name] for s in method.snapshots_], axis=0)
        for name in ("weight", "bias")
    )
    # the mean of two linear functions, in float32: few roundings of numbers near 1
    averaged = method.average(net, X, "predict")
    np.testing.assert_allclose(averaged, X @ W.T + b, atol=16 * 2**-23)


def test_weights_in_bfloat16_come_back_to_the_bit():
    module = nn.Linear(5, 2).bfloat16()
    before = module.weight.detach().clone()
    weights = take_weights(module)
    nn.init.zeros_(module.weight)
    write_weights(module, weights)
    assert torch.equal(module.weight, before)


def test_records_are_bounded_with_small_unsigned_parameters(monkeypatch):
    monkeypatch.setattr("sklearn_hessreg._reinit._hessian_reinit.KEPT_EVENTS", 1)
    options = {
        "n": np.uint8(2),
        "n_snapshots": np.uint8(2),
        "reinit_every": np.uint8(1),
    }
    net = make_net(**options, epochs=4).fit(*TRAIN)
    assert epochs_of(net) == [3, 4]
    net.partial_fit(*TRAIN, epochs=0)
    assert [r["epoch"] for r in method_of(net).reinit_history_] == [4, 4]


def test_a_snapshot_is_shown_in_one_line():
    net = make_net(epochs=3, reinit_every=1).fit(*TRAIN)
    shown = repr(method_of(net).snapshots_[0])
    assert re.fullmatch(r"Snapshot\(cycle=1, epoch=\d+, score=\S+\)", shown)
