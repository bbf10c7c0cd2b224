"""Gradients as matrix products: autograd's, and taken only where nobody can tell."""

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from training_cases import X, Y, make_spec

from sklearn_hessreg import HessianRegularizedMLPClassifier
from sklearn_hessreg._heads import (
    Exponential,
    Identity,
    Logistic,
    RobustLogistic,
    RobustSoftmax,
    Softmax,
)
from sklearn_hessreg._training import _net
from sklearn_hessreg._training._shortcuts import TIMES_DERIVATIVE, can_bypass_autograd

CLASSES = {"softmax": (Softmax(), 3), "logistic": (Logistic(), 1)}
CLASSES["labels"] = (Logistic(3), 3)
NUMBERS = {
    loss: (Identity(loss), 2) for loss in ("squared_error", "absolute_error", "huber")
}
NUMBERS["poisson"] = (Exponential(), 2)
ROBUST = {"robust softmax": (RobustSoftmax(0.7), 3)}
ROBUST["robust labels"] = (RobustLogistic(3, 0.7), 3)
HEADS = CLASSES | NUMBERS | ROBUST
ROWS = 25


def make_net(activation="relu", head="softmax", dtype="float64", **options):
    head, n_outputs = HEADS[head]
    units = (4, 8, 6, n_outputs)
    spec = make_spec(
        activation=activation, head=head, layer_units=units, dtype=dtype, **options
    )
    net = _net.build_net(spec)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.module_.parameters():
            parameter.normal_(generator=generator)
    return net


def make_batch(net, weighted=False):
    rng, dtype = np.random.default_rng(0), net.spec.torch_dtype
    n_outputs = net.spec.layer_units[-1]
    target = torch.from_numpy(Y[:ROWS]).long()
    if not isinstance(net.spec.head, Softmax):
        target = torch.from_numpy(rng.integers(0, 2, (ROWS, n_outputs))).to(dtype)
    weight = torch.from_numpy(rng.random(ROWS)).to(dtype) if weighted else None
    return torch.from_numpy(X[:ROWS]).to(dtype), (target, weight)


def step(net, batch, by_products):
    """Take the step's loss, outputs and gradients."""
    net._look_at_layers()
    net.bypasses_autograd_ = by_products
    net._zero_grad_optimizer()
    result = net.train_step_single(batch)
    grads = [p.grad.clone() for p in net.module_.parameters()]
    return [result["loss"].detach(), result["y_pred"].detach(), *grads]


def assert_as_autograds(eps, *kind, weighted, alpha):
    """Check that a step by products is autograd's, up to eps of the dtype."""
    net = make_net(*kind, alpha=alpha)
    batch = make_batch(net, weighted)
    eps *= torch.finfo(net.spec.torch_dtype).eps
    for a, b in zip(step(net, batch, True), step(net, batch, False), strict=True):
        torch.testing.assert_close(a, b, rtol=eps, atol=eps)


@pytest.mark.parametrize("alpha", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("head", CLASSES)
@pytest.mark.parametrize("activation", TIMES_DERIVATIVE)
def test_a_classifiers_step_equals_autograds_to_the_bit(
    activation, head, dtype, weighted, alpha
):
    assert_as_autograds(0, activation, head, dtype, weighted=weighted, alpha=alpha)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("head", [*NUMBERS, *ROBUST])
@pytest.mark.parametrize("activation", TIMES_DERIVATIVE)
def test_a_step_under_other_losses_equals_autograds(activation, head, dtype, weighted):
    # each number adds up some 100 products of numbers that are not large
    assert_as_autograds(1000, activation, head, dtype, weighted=weighted, alpha=0.1)


def test_a_net_as_it_was_built_is_unwatched():
    assert can_bypass_autograd(make_net())


# of the hooks none is called
CHANGES = {
    "hook of a layer": lambda net: net.module_.layers[0].register_forward_hook(id),
    "backward hook": lambda net: net.module_.register_full_backward_hook(id),
    "hook of the criterion": lambda net: net.criterion_.register_forward_hook(id),
    "hook of a gradient": lambda net: net.module_.layers[0].weight.register_hook(id),
    "hook after accumulation": lambda net: net.module_.layers[
        0
    ].weight.register_post_accumulate_grad_hook(id),
    "frozen": lambda net: net.module_.layers[0].bias.requires_grad_(False),
    "smooth labels": lambda net: setattr(net.criterion_, "label_smoothing", 0.1),
    "another forward pass": lambda net: setattr(net.module_, "forward", id),
    "parametrised": lambda net: torch.nn.utils.parametrizations.weight_norm(
        net.module_.layers[0]
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_net_that_is_not_as_built_is_left_to_autograd(change):
    net = make_net()
    change(net)
    assert not can_bypass_autograd(net)


def test_dropout_is_left_to_autograd():
    assert not can_bypass_autograd(make_net(dropout=0.1))


def test_an_activation_without_a_derivative_is_left_to_autograd(monkeypatch):
    monkeypatch.delitem(TIMES_DERIVATIVE, "relu")
    assert not can_bypass_autograd(make_net())


class Graphs(Callback):
    """Record whether the outputs of batches have a graph."""

    def __init__(self):
        self.seen_ = []

    def on_batch_end(self, net, y_pred=None, training=False, **kwargs):
        self.seen_.append(y_pred.requires_grad)


def test_callbacks_of_batches_see_autograds_outputs():
    clf = HessianRegularizedMLPClassifier(
        (8,), max_iter=2, early_stopping=False, skorch_callbacks=[Graphs()]
    )
    with pytest.warns(match="Maximum iterations"):
        clf.fit(X, Y)
    seen = dict(clf.net_.callbacks_)["Graphs"].seen_
    assert seen
    assert all(seen)


def test_hooks_registered_between_epochs_are_called():
    net = make_net()
    calls = []
    net.train_step_single(make_batch(net))
    net.module_.layers[0].weight.register_hook(calls.append)
    net.bypasses_autograd_ = None  # as every epoch begins
    net.train_step_single(make_batch(net))
    assert len(calls) == 1
