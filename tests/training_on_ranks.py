"""Checks of HessianReinit on two ranks, for test_ranks.py."""

import copy
from functools import partial

import numpy as np
import pytest
import torch
import torch.distributed as dist
from ranks import on_all_ranks, rows_of_this_rank
from skorch import NeuralNetClassifier
from skorch.dataset import Dataset
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, IterableDataset

from sklearn_hessreg import HessianRegularizedMLPClassifier, HessianReinit
from sklearn_hessreg._hessian import ALONE, ranks_of
from sklearn_hessreg._reinit._event import Event
from sklearn_hessreg._reinit._samples import draw_from_all_ranks

RNG = np.random.default_rng(0)
X = RNG.normal(size=(72, 5)).astype("float32")
Y = (X[:, 0] + X[:, 1] > 0).astype("int64")
every_epoch = partial(HessianReinit, reinit_every=1, monitor="train_loss", n=2, k=20)


class Net(nn.Sequential):
    """A small network with batch norm."""

    def __init__(self):
        super().__init__(
            nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 2)
        )


class InDDP(NeuralNetClassifier):
    """A net whose gradients are averaged over the ranks."""

    def initialize_module(self):
        super().initialize_module()
        self.module_ = DistributedDataParallel(self.module_)
        return self


def part_of_each_rank(dataset, batch_size, **kwargs):
    """Load the rank's part of a dataset that all ranks have."""
    sampler = DistributedSampler(dataset, shuffle=False)
    return DataLoader(dataset, batch_size, sampler=sampler)


def make_net(reinit, kind=InDDP, seed=0, **options):
    """Make a net with the callback."""
    torch.manual_seed(seed)
    options = {
        "iterator_train": part_of_each_rank,
        "train_split": None,
        "max_epochs": 4,
        "optimizer": torch.optim.Adam,
        "lr": 0.01,
        **options,
    }
    return kind(
        Net,
        criterion=nn.CrossEntropyLoss,
        batch_size=20,
        verbose=0,
        callbacks=[("reinit", reinit)],
        **options,
    )


def own_rows():
    """Return this rank's rows, of which the ranks have 40 and 32."""
    rows = rows_of_this_rank(40, len(X))
    return X[rows], Y[rows]


def reinit_of(net):
    return dict(net.callbacks_)["reinit"]


def assert_same_weights(net):
    """Compare weights, buffers, moments and snapshots to the bit."""
    module = net.module_
    module = module.module if isinstance(module, DistributedDataParallel) else module
    held = [
        *module.state_dict().values(),
        *(m for s in net.optimizer_.state_dict()["state"].values() for m in s.values()),
        *(
            torch.tensor(weight)
            for snapshot in reinit_of(net).snapshots_
            for weight in snapshot["weights"].values()
        ),
    ]
    first, *others = on_all_ranks([x.detach() for x in held])
    for other in others:
        assert len(first) == len(other)
        assert all(map(torch.equal, first, other))


def events_of(net):
    return [record["epoch"] for record in reinit_of(net).reinit_history_]


def replicated(**method):
    net = make_net(every_epoch(**method)).fit(X, Y)
    assert events_of(net) == [2, 2, 3, 3, 4, 4]
    assert_same_weights(net)


def sharded(**method):
    options = {"iterator_train": DataLoader}
    net = make_net(every_epoch(rows="sharded", **method), **options).fit(*own_rows())
    assert events_of(net) == [2, 2, 3, 3, 4, 4]
    assert_same_weights(net)


def own_importance(module, names, *, loss, inputs, targets, generator):
    """Score by what differs between the ranks."""
    count = 5 + dist.get_rank()
    torch.rand(count, generator=generator)
    return {
        name: torch.rand(module.get_submodule(name).weight.shape, generator=generator)
        for name in names
    }


def own_initializer(tensor, generator):
    """Draw from the rank's global generator."""
    torch.manual_seed(dist.get_rank())
    return torch.randn(tensor.shape)


def gradients_averaged_without_ddp():
    class Averaged(NeuralNetClassifier):
        def train_step_single(self, batch, **fit_params):
            step = super().train_step_single(batch, **fit_params)
            for p in self.module_.parameters():
                dist.all_reduce(p.grad)
                p.grad /= dist.get_world_size()
            return step

    net = make_net(every_epoch(rows="sharded"), Averaged, iterator_train=DataLoader)
    assert_same_weights(net.fit(*own_rows()))


def cycles_end_together():
    """Each rank has its own validation loss; the mean has its plateau."""
    method = HessianReinit(
        k=20,
        n_snapshots=3,
        n_iter_no_change=2,
        tol=0.05,
        load_best=True,
        rows="sharded",
    )
    options = {"iterator_train": DataLoader, "max_epochs": 40, "lr": 0.05}
    net = make_net(method, train_split=DEFAULT_SPLIT, **options).fit(*own_rows())
    losses = on_all_ranks(net.history[:, "valid_loss"])
    assert losses[0] != losses[1]
    first, second = on_all_ranks(
        [(s["cycle"], s["epoch"], s["score"]) for s in reinit_of(net).snapshots_]
    )
    assert first == second
    assert len(first) == 3
    assert len(events_of(net)) == 2
    best = np.mean(losses, 0)[: first[0][1]].min()
    assert first[0][2] == pytest.approx(best)
    assert_same_weights(net)


DEFAULT_SPLIT = InDDP(Net).train_split


def an_event_is_that_of_one_process_on_all_rows(curvature, samples):
    """Compare selection and new weights."""
    method = every_epoch(rows="sharded", curvature=curvature, hessian_samples=samples)
    nets = [make_net(method, NeuralNetClassifier).initialize() for _ in range(2)]
    results = [
        Event(method, net, torch.Generator().manual_seed(3), ranks).run(Dataset(*rows))
        for net, ranks, rows in zip(
            nets, (ranks_of(), ALONE), (own_rows(), (X, Y)), strict=True
        )
    ]
    for name, mask in results[0][1].items():
        assert mask.any()
        assert torch.equal(mask, results[1][1][name])
    pairs = zip(nets[0].module_.parameters(), nets[1].module_.parameters(), strict=True)
    assert all(torch.equal(together, alone) for together, alone in pairs)


class Stream(IterableDataset):
    """Numbers, of the ranks one after the other."""

    def __iter__(self):
        yield from range(9) if dist.get_rank() == 0 else range(9, 12)


def draw(dataset, count, seed):
    generator = torch.Generator().manual_seed(seed)
    return draw_from_all_ranks(ranks_of(), dataset, count, generator)


def all_of_a_stream_are_drawn():
    assert sorted(draw(Stream(), None, 0)) == list(range(12))
    assert sorted(draw(Stream(), 20, 0)) == list(range(12))


def each_of_a_stream_is_as_likely(rounds=200):
    draws = [draw(Stream(), 4, seed) for seed in range(rounds)]
    assert draws == on_all_ranks(draws)[0]
    assert all(len(set(drawn)) == 4 for drawn in draws)
    counts = np.bincount(np.ravel(draws), minlength=12)
    # a third of the rounds each; four standard deviations of a binomial
    assert np.abs(counts - rounds / 3).max() < 4 * (rounds * 2 / 9) ** 0.5


def refused(match, net, data=(X, Y), error=ValueError):
    """Expect an error on both ranks."""
    with pytest.raises(error, match=match):
        net.fit(*data)


def other_samples_are_refused_before_training():
    net = make_net(every_epoch())
    refused("different samples: .*'sharded'", net, own_rows())
    assert len(net.history) == 1


def other_numbers_of_samples_are_refused():
    rows = [*range(40 + 20 * dist.get_rank()), 71]
    refused(
        "different samples: .* is 41 on rank 0",
        make_net(every_epoch()),
        (X[rows], Y[rows]),
    )


def other_hyperparameters_are_refused():
    net = make_net(every_epoch(k=10 + dist.get_rank()))
    refused("arguments: k is 10 on rank 0, 11 on rank 1", net)


def other_first_weights_are_refused():
    net = make_net(every_epoch(), NeuralNetClassifier, seed=dist.get_rank())
    refused("different parameters: .*DistributedDataParallel", net)


def weights_that_drift_apart_are_refused():
    net = make_net(
        every_epoch(rows="sharded"), NeuralNetClassifier, iterator_train=DataLoader
    )
    refused("different parameters", net, own_rows())
    assert len(net.history) == 2


def what_fails_on_one_rank_is_told_on_the_other():
    net = make_net(every_epoch(monitor="loss_of_rank_1"))
    if dist.get_rank() == 1:
        net.set_params(callbacks__reinit__monitor="train_loss")
    error = ValueError
    refused("different arguments: monitor", net, error=error)

    class Broken(Dataset):
        def __getitem__(self, i):
            if dist.get_rank() == 1:
                raise OSError("no disk")
            return super().__getitem__(i)

    match, error = "Rank 1 failed at: .*OSError: no disk", RuntimeError
    if dist.get_rank() == 1:
        match, error = "no disk", OSError
    method = every_epoch(rows="sharded")
    net = make_net(method, NeuralNetClassifier).initialize()
    before = copy.deepcopy(net.module_.state_dict())
    event = Event(method, net, torch.Generator().manual_seed(0), ranks_of())
    with pytest.raises(error, match=match):
        event.run(Broken(*own_rows()))
    after = net.module_.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def without_data_a_rank_trains_alone():
    if dist.get_rank() == 0:
        net = make_net(every_epoch(rows=None), NeuralNetClassifier)
        assert events_of(net.fit(X, Y)) == [2, 2, 3, 3, 4, 4]


def an_estimator_trains_and_scores_on_one_rank_alone():
    if dist.get_rank() == 0:
        clf = HessianRegularizedMLPClassifier((4,), reinit_every=1, max_iter=3, tol=0)
        assert clf.fit(X, Y).reinit_history_
        assert clf.hessian_scores(X, Y)


def snapshots_are_averaged_on_one_rank_alone():
    net = make_net(every_epoch()).fit(X, Y)
    if dist.get_rank() == 0:
        assert reinit_of(net).average(net, X).shape == (72, 2)


def partial_fit_goes_on_together():
    net = make_net(every_epoch(), max_epochs=1)
    for _ in range(3):
        net.partial_fit(X, Y)
    assert events_of(net) == [2, 2, 3, 3]
    assert_same_weights(net)


one_process = an_event_is_that_of_one_process_on_all_rows
CHECKS = {
    **{
        f"{train.__name__}, {name}": partial(train, **method)
        for train in (replicated, sharded)
        for name, method in {
            "mean_loss": {"curvature": "mean_loss"},
            "per_sample": {"curvature": "per_sample"},
            "few samples": {"hessian_samples": 5},
            "all samples": {"hessian_samples": None},
            "units, reset": {"granularity": "unit", "optimizer_state": "reset"},
            "global": {"scope": "global", "random_state": 0},
            "magnitude": {"importance": "magnitude"},
            "random": {"importance": "random"},
            "own importance": {"importance": own_importance},
            "own initializer": {"initializer": own_initializer},
        }.items()
    },
    **{
        f"one process, {curvature}, {samples}": partial(one_process, curvature, samples)
        for curvature in ("mean_loss", "per_sample")
        for samples in (16, 72, None)
    },
    **{
        check.__name__: check
        for check in (
            gradients_averaged_without_ddp,
            cycles_end_together,
            all_of_a_stream_are_drawn,
            each_of_a_stream_is_as_likely,
            other_samples_are_refused_before_training,
            other_numbers_of_samples_are_refused,
            other_hyperparameters_are_refused,
            other_first_weights_are_refused,
            weights_that_drift_apart_are_refused,
            what_fails_on_one_rank_is_told_on_the_other,
            without_data_a_rank_trains_alone,
            an_estimator_trains_and_scores_on_one_rank_alone,
            snapshots_are_averaged_on_one_rank_alone,
            partial_fit_goes_on_together,
        )
    },
}
