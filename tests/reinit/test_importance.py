"""A function of the user's own as importance."""

import copy
import pickle
from functools import partial

import numpy as np
import pytest
import torch
from settings import PAPER
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_hessreg import (
    HessianRegularizedMLPClassifier,
    HessianReinit,
    hessian_scores,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5)).astype("float32")
Y = (X[:, 0] + X[:, 1] > 0).astype("int64")


def hessian(module, names, *, loss, inputs, targets, generator):
    return hessian_scores(module, loss, inputs, targets, layers=names)


def first_column(module, names, *, loss, inputs, targets, generator):
    scores = {
        name: torch.zeros(module.get_submodule(name).weight.shape) for name in names
    }
    for S in scores.values():
        S[:, 0] = 1
    return scores


def chance(module, names, *, loss, inputs, targets, generator):
    shapes = {name: module.get_submodule(name).weight.shape for name in names}
    return {n: torch.rand(s, generator=generator) for n, s in shapes.items()}


def make_net(importance, **options):
    torch.manual_seed(0)
    schedule = {"reinit_every": 1, "random_state": 0, "monitor": "train_loss"}
    options = {**PAPER, "k": 20, "n": 2, **schedule, **options}
    return NeuralNetClassifier(
        lambda: nn.Sequential(
            *(nn.Linear(5, 8), nn.Tanh(), nn.Dropout(), nn.Linear(8, 2))
        ),
        criterion=nn.CrossEntropyLoss,
        max_epochs=3,
        train_split=None,
        verbose=0,
        callbacks=[("reinit", HessianReinit(importance=importance, **options))],
    )


def weights(net):
    return torch.cat([p.detach().flatten() for p in net.module_.parameters()])


@pytest.mark.parametrize("samples", [None, 16], ids=["all", "drawn"])
def test_a_function_that_returns_hessian_scores_is_the_method(samples):
    ours, theirs = (
        make_net(importance, hessian_samples=samples).fit(X, Y)
        for importance in ("hessian", hessian)
    )
    assert torch.equal(weights(ours), weights(theirs))


def test_the_highest_scores_are_redrawn():
    net = make_net(first_column, initializer="zeros", k=100 / 5, n=2).fit(X, Y)
    ends = dict(net.callbacks_)["reinit"].masks_
    assert ends["0"][:, 0].all()
    assert not ends["0"][:, 1:].any()


def test_a_function_is_called_in_evaluation_mode_on_the_hessian_samples():
    seen = []

    def watch(module, names, *, loss, inputs, targets, generator):
        seen.append((module.training, names, len(inputs), len(targets)))
        assert torch.is_grad_enabled()
        return first_column(
            module, names, loss=None, inputs=None, targets=None, generator=None
        )

    net = make_net(watch, hessian_samples=16).fit(X, Y)
    # first the trial before training
    assert seen == [(False, ["0", "3"], n, n) for n in (2, 16, 16)]
    assert net.module_.training


def test_what_a_function_draws_follows_the_random_state():
    models = [weights(make_net(chance, random_state=s).fit(X, Y)) for s in (0, 0, 1)]
    assert torch.equal(models[0], models[1])
    assert not torch.equal(models[0], models[2])


def test_scores_of_a_function_are_aggregated_to_units():
    net = make_net(first_column, granularity="unit", k=50).fit(X, Y)
    assert (
        dict(net.callbacks_)["reinit"].masks_["0"].tolist() == [True] * 4 + [False] * 4
    )


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (lambda W: W, r"returned a Parameter.*names \['0', '3'\]"),
        (lambda W: {"0": torch.ones(8, 5)}, r"no scores of \['3'\]"),
        (
            lambda W: {"0": torch.ones(8), "3": torch.ones(2, 8)},
            r"'0' torch.float32, \(8,\), but.*\(8, 5\)",
        ),
        (lambda W: {"0": 3, "3": torch.ones(2, 8)}, r"'0' 3, but.*\(8, 5\)"),
        (
            lambda W: {"0": torch.ones(8, 5) * 1j, "3": torch.ones(2, 8)},
            "complex.*real tensor",
        ),
    ],
    ids=["no dict", "missing", "shape", "number", "complex"],
)
def test_wrong_scores_are_refused_before_training(scores, message):
    def wrong(module, names, **options):
        return scores(module.get_submodule("0").weight)

    net = make_net(wrong)
    with pytest.raises(ValueError, match=message):
        net.fit(X, Y)
    assert "train_loss" not in net.history[-1]


def test_scores_that_are_not_finite_change_nothing():
    def infinite(module, names, **options):
        W = module.get_submodule("0").weight
        return {"0": torch.full_like(W, torch.inf), "3": torch.ones(2, 8)}

    net = make_net(infinite).set_params(lr=0).initialize()
    before = copy.deepcopy(weights(net))
    with pytest.raises(ValueError, match=r"'0' contain NaN or infinity.*importance"):
        net.partial_fit(X, Y)
    assert torch.equal(weights(net), before)


def test_the_estimator_takes_a_function_and_is_pickled_with_it():
    clf = HessianRegularizedMLPClassifier(
        (8,),
        importance=partial(first_column),
        k=5,
        n=1,
        reinit_every=1,
        max_iter=3,
        tol=0.1,
        n_iter_no_change=1,
        random_state=0,
        device="cpu",
    ).fit(X, Y)
    again = pickle.loads(pickle.dumps(clf))
    assert again.reinit_history_[0]["count"] == 1
    assert again.partial_fit(X, Y).importance.func is first_column
