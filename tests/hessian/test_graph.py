"""Weights that scores cannot follow are refused; checkpoints are recomputed."""

import pytest
import torch
from reference import assert_equal_scores, assert_equal_to_reference, reference_scores
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from sklearn_hessreg import hessian_scores

X = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
Y = torch.arange(6) % 3


class Aliased(nn.Module):
    """Decodes by a reference to the encoder's weight that no registry knows."""

    def __init__(self, alias):
        super().__init__()
        self.encoder = nn.Linear(4, 3, dtype=torch.float64)
        self.aliases = [alias(self.encoder.weight)]

    def forward(self, x):
        return F.linear(torch.tanh(self.encoder(x)), self.aliases[0].T)[:, :3]


@pytest.mark.parametrize("curvature", ["mean_loss", "per_sample"])
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("alias", [lambda W: W, lambda W: W.view(3, 4)])
def test_weight_used_through_an_unregistered_alias_is_refused(alias, frozen, curvature):
    net = Aliased(alias)
    net.encoder.weight.requires_grad_(not frozen)
    with pytest.raises(ValueError, match=r"'encoder'.*registry.*same parameter"):
        hessian_scores(net, F.cross_entropy, X, Y, curvature=curvature)
    assert net.encoder.weight.requires_grad == (not frozen)


def test_alias_that_is_detached_is_a_constant():
    net = Aliased(lambda W: W.detach())
    S = hessian_scores(net, F.cross_entropy, X, Y, aggregation="sum")["encoder"]
    expected = reference_scores(net, F.cross_entropy, X, Y, "encoder")
    assert_equal_to_reference(S, expected)


class Checkpointed(nn.Module):
    """Recomputes its two hidden layers in the backward pass."""

    def __init__(self, activation, **options):
        super().__init__()
        self.a = nn.Linear(4, 5)
        self.b = nn.Linear(5, 4)
        self.last = nn.Linear(4, 3)
        self.activation = activation
        self.options = options

    def hidden(self, x):
        return self.activation(self.b(self.activation(self.a(x))))

    def forward(self, x):
        if self.options:
            return self.last(checkpoint(self.hidden, x, **self.options))
        return self.last(self.hidden(x))


@pytest.mark.parametrize("curvature", ["mean_loss", "per_sample"])
@pytest.mark.parametrize("activation", [torch.relu, torch.tanh])
@pytest.mark.parametrize("layers", [["a"], ["b"], ["b", "last"], ["a", "b", "last"]])
def test_checkpoint_gives_the_scores_of_the_plain_network(
    layers, activation, curvature
):
    net = Checkpointed(activation).double()
    options = {"layers": layers, "curvature": curvature}
    expected = hessian_scores(net, F.cross_entropy, X, Y, **options)
    net.options = {"use_reentrant": False}
    scores = hessian_scores(net, F.cross_entropy, X, Y, **options)
    assert_equal_scores(scores, expected)


def test_reentrant_checkpoint_is_refused():
    net = Checkpointed(torch.tanh, use_reentrant=True).double()
    inputs = X.clone().requires_grad_()
    with pytest.raises(ValueError, match=r"use_reentrant=True.*use_reentrant=False"):
        hessian_scores(net, F.cross_entropy, inputs, Y, layers=["a", "last"])


def test_checkpoint_that_recomputes_something_else_is_refused():
    net = Checkpointed(torch.tanh, use_reentrant=False).double()
    net.a.weight.requires_grad_(False)
    with pytest.raises(ValueError, match="without checkpoints"):
        hessian_scores(net, F.cross_entropy, X, Y, layers=["a"])


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@pytest.mark.parametrize("convert", [torch.jit.script, lambda m: torch.jit.trace(m, X)])
@pytest.mark.parametrize("whole", [False, True])
def test_scripted_and_traced_modules_are_refused(whole, convert):
    part = convert(nn.Linear(4, 3).double())
    net = part if whole else nn.Sequential(part, nn.Linear(3, 3).double())
    with pytest.raises(ValueError, match=r"of torch\.jit.*Score the module that was"):
        hessian_scores(net, F.cross_entropy, X, Y)


def test_data_parallel_is_refused():
    with pytest.raises(ValueError, match=r"DataParallel.*module inside"):
        hessian_scores(nn.DataParallel(nn.Linear(4, 3)), F.cross_entropy, X, Y)


def test_operation_without_second_derivative_is_refused():
    net = nn.Sequential(nn.EmbeddingBag(7, 4), nn.Tanh(), nn.Linear(4, 3))
    tokens = torch.arange(12).view(6, 2) % 7
    with pytest.raises(ValueError, match=r"differentiated twice.*Embedding"):
        hessian_scores(net, F.cross_entropy, tokens, Y, layers=["0"])
