"""Curvatures that go from layer to layer, and networks whose layers are not linked."""

import pytest
import torch
from perceptrons import LOSSES, shared
from reference import (
    assert_all_layers_equal_the_reference,
    assert_equal_scores,
)
from torch import nn
from torch.nn import functional as F

from sklearn_hessreg import hessian_scores
from sklearn_hessreg._hessian import _links, _select_formula

N = 6


class Net(nn.Module):
    """Three layers, with `between` behind the first two of them."""

    def __init__(self, between, sizes):
        super().__init__()
        a, b, c, d = sizes
        self.first, self.second = nn.Linear(a, b), nn.Linear(b, c)
        self.last, self.between = nn.Linear(c, d), between

    def forward(self, x):
        h = self.between(self.first(x))
        return self.last(self.between(self.second(h)))


def normalised():
    """Batch norm by running statistics that are not those of a start."""
    norm = nn.BatchNorm1d(5)
    norm.running_mean.copy_(torch.linspace(-1, 1, 5))
    norm.running_var.copy_(torch.linspace(0.5, 2, 5))
    return nn.Sequential(norm, nn.Dropout(), nn.ReLU())


LINKED = {
    "relu": nn.ReLU,
    "relu in place": lambda: nn.ReLU(inplace=True),
    "leaky": nn.LeakyReLU,
    "identity": nn.Identity,
    "hard tanh": nn.Hardtanh,
    "batch norm, dropout": normalised,
}


class WithItsInput(nn.Module):
    """Adds to each unit the one beside it."""

    def forward(self, x):
        return torch.relu(x) + x.roll(1, 1)


class Doubled(nn.Module):
    """Is written to by nobody, but is curved."""

    def forward(self, x):
        return torch.relu(x) + 1e-3 * x.square()


class MixedRows(nn.Module):
    """Lets one sample into another one."""

    def forward(self, x):
        return torch.relu(x) + 1e-3 * torch.relu(x).roll(1, 0)


UNLINKED = {
    "tanh": nn.Tanh,
    "square": Doubled,
    "layer norm": lambda: nn.LayerNorm(5),
    "neighbours": WithItsInput,
    "softmax": lambda: nn.Softmax(1),
}


def prepare(between, sizes=(4, 5, 5, 3), dtype=torch.float64):
    """Make a network, samples and labels, the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Net(between(), sizes).to(dtype).eval()
        for layer in (net.first, net.second, net.last):
            nn.init.normal_(layer.weight, std=0.7)
        X = torch.randn(N, sizes[0], dtype=dtype)
    return net, X, torch.arange(N) % 3


def loss_of(name):
    w = torch.linspace(0, 2, N, dtype=torch.float64)
    return shared(LOSSES[name][1], w)


def formulas(*args):
    """Score all layers by sample and return how each was scored."""
    return hessian_scores(*args, n=3, curvature="per_sample").formulas.values()


@pytest.mark.parametrize("loss", ["softmax", "squared", "log-cosh"])
@pytest.mark.parametrize("between", LINKED)
def test_linked_layers_equal_the_materialised_hessian(between, loss):
    net, X, y = prepare(LINKED[between], (4, 5, 5, LOSSES[loss][0]))
    assert_all_layers_equal_the_reference(net, X, y, loss_of(loss), "per_sample")


@pytest.mark.parametrize("sizes", [(4, 5, 5, 9), (4, 5, 2, 3), (4, 2, 5, 9)])
def test_layers_of_fewer_units_than_outputs_equal_the_materialised_hessian(sizes):
    net, X, y = prepare(nn.ReLU, sizes)
    assert_all_layers_equal_the_reference(net, X, y, loss_of("softmax"), "per_sample")


@pytest.mark.parametrize("between", LINKED)
def test_factors_between_layers_are_taken_for_links(between):
    net, X, y = prepare(LINKED[between])
    told = formulas(net, F.cross_entropy, X, y)
    assert ["links" in message for message in told] == [True, True, False]


@pytest.mark.parametrize("between", UNLINKED)
def test_anything_else_is_no_link(between):
    net, X, y = prepare(UNLINKED[between])
    told = formulas(net, F.cross_entropy, X, y)
    assert not any("links" in message for message in told)


@pytest.mark.parametrize("between", UNLINKED)
def test_layers_without_a_link_equal_the_materialised_hessian(between):
    net, X, y = prepare(UNLINKED[between])
    assert_all_layers_equal_the_reference(net, X, y, loss_of("softmax"), "per_sample")


def test_samples_that_meet_between_layers_are_refused():
    net, X, y = prepare(MixedRows)
    with pytest.raises(ValueError, match="samples interact"):
        hessian_scores(net, F.cross_entropy, X, y, n=2, curvature="per_sample")


class Skip(Net):
    """A second way from the first layer to the outputs."""

    def forward(self, x):
        h = torch.relu(self.first(x))
        return self.last(torch.relu(self.second(h))) + 1e-3 * h[:, :3]


class SkipIntoLast(Net):
    """A second way from the first layer to the last."""

    def forward(self, x):
        h = torch.relu(self.first(x))
        return self.last(torch.relu(self.second(h)) + 1e-3 * h)


class WrittenTo(Net):
    """The second layer's inputs are written to behind it."""

    def forward(self, x):
        h = torch.relu(self.first(x))
        z = self.second(h)
        h.mul_(3)
        return self.last(torch.relu(z))


class Twice(Net):
    """One layer is called twice."""

    def forward(self, x):
        h = torch.relu(self.second(torch.relu(self.first(x))))
        return self.last(torch.relu(self.second(h)))


@pytest.mark.parametrize("kind", [Skip, SkipIntoLast, Twice])
def test_other_ways_to_the_outputs_equal_the_materialised_hessian(kind):
    net, X, y = prepare(nn.ReLU)
    net.__class__ = kind
    assert_all_layers_equal_the_reference(net, X, y, loss_of("softmax"), "per_sample")


def test_inputs_that_are_written_to_later_are_no_link():
    net, X, y = prepare(nn.ReLU)
    net.__class__ = WrittenTo
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        hessian_scores(net, F.cross_entropy, X, y, n=3, curvature="per_sample")


@pytest.mark.parametrize("chunk", [1, 3000, 2**20])
@pytest.mark.parametrize("classes", [3, 40, 90])
@pytest.mark.parametrize("units", [(150, 140), (30, 200)])
def test_links_agree_with_backward_passes_for_every_output(
    units, classes, chunk, monkeypatch
):
    net, X, y = prepare(nn.ReLU, (4, *units, classes))
    options = {"n": 3, "curvature": "per_sample"}
    monkeypatch.setattr(_links, "CHUNK_ELEMENTS", chunk)
    scores = hessian_scores(net, F.cross_entropy, X, y, **options)
    monkeypatch.setattr(_select_formula, "find_links", lambda *_: [])
    expected = hessian_scores(net, F.cross_entropy, X, y, **options)
    assert_equal_scores(scores, expected)


def test_links_take_no_backward_pass_for_an_output(monkeypatch):
    counts, grad = [], torch.autograd.grad

    def counted(*args, **kwargs):
        counts[-1] += 1
        return grad(*args, **kwargs)

    monkeypatch.setattr(torch.autograd, "grad", counted)
    for classes in (3, 50):
        counts.append(0)
        net, X, y = prepare(nn.ReLU, (4, 60, 55, classes))
        hessian_scores(net, F.cross_entropy, X, y, n=3, curvature="per_sample")
    assert counts[0] == counts[1]


def test_dead_layer_behind_scores_zero():
    net, X, y = prepare(nn.ReLU)
    nn.init.constant_(net.second.bias, -1e3)
    S = hessian_scores(net, F.cross_entropy, X, y, n=3, curvature="per_sample")
    assert not S["first"].any()
    assert not S["second"].any()


class Logits(Net):
    """Keeps its outputs where a loss can find them."""

    def forward(self, x):
        self.logits = super().forward(x)
        return self.logits


def test_outputs_that_a_loss_finds_in_the_network_enter_the_scores():
    net, X, y = prepare(nn.ReLU)
    expected = hessian_scores(
        *(net, lambda z, t: F.cross_entropy(z, t) + z.square().sum(), X, y), n=3
    )
    net.__class__ = Logits
    scores = hessian_scores(
        *(net, lambda z, t: F.cross_entropy(z, t) + net.logits.square().sum(), X, y),
        n=3,
    )
    assert_equal_scores(scores, expected)
