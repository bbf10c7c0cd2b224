"""What a forward pass writes into a parameter does not reach the module."""

import copy

import pytest
import torch
from reference import assert_equal_scores, assert_equal_to_reference
from torch import nn
from torch.nn import functional as F

from sklearn_hessreg import hessian_scores

TOKENS = torch.arange(12).view(6, 2) % 7
Y = torch.arange(6) % 3


class Lookup(nn.Module):
    """A sum of two embeddings, and a layer behind."""

    def __init__(self, **options):
        super().__init__()
        self.embedding = nn.Embedding(7, 4, **options)
        self.last = nn.Linear(4, 3)

    def forward(self, x):
        return self.last(torch.tanh(self.embedding(x).sum(1)))


class Clamped(nn.Module):
    """Keeps its own weight inside an interval, in several ways."""

    def __init__(self, clamp):
        super().__init__()
        self.hidden = nn.Linear(4, 5)
        self.last = nn.Linear(5, 3)
        self.clamp = clamp

    def forward(self, x):
        with torch.no_grad():
            self.clamp(self.hidden.weight)
        return self.last(torch.tanh(self.hidden(x)))


def divide(W):
    W /= 2


WRITES = {
    "method": lambda W: W.clamp_(-0.1, 0.1),
    "data": lambda W: W.data.mul_(0.5),
    "detached": lambda W: W.detach().mul_(0.5),
    "item": lambda W: W.__setitem__(0, 0.0),
    "row of it": lambda W: W[1].zero_(),
    "operator": divide,
    "out": lambda W: torch.tanh(W, out=W.data),
    "init": nn.init.zeros_,
}


def weights_of(net):
    return copy.deepcopy(net.state_dict())


def assert_unchanged(net, before):
    assert all(torch.equal(p, before[key]) for key, p in net.state_dict().items())


# torch has no batching rule for renorming, and says so
@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
@pytest.mark.parametrize("curvature", ["mean_loss", "per_sample"])
def test_embedding_with_max_norm_comes_back_to_the_bit(curvature):
    net = Lookup(max_norm=0.5).double()
    before = weights_of(net)
    options = {"n": 2, "curvature": curvature}
    scores = hessian_scores(net, F.cross_entropy, TOKENS, Y, **options)
    assert_unchanged(net, before)
    net(TOKENS)  # renormalises
    expected = hessian_scores(net, F.cross_entropy, TOKENS, Y, **options)
    assert_equal_scores(scores, expected)


@pytest.mark.parametrize("options", [{"sparse": True}, {"scale_grad_by_freq": True}])
@pytest.mark.parametrize("curvature", ["mean_loss", "per_sample"])
def test_options_of_an_embeddings_gradient_do_not_enter_its_scores(curvature, options):
    net, plain = Lookup(**options).double(), Lookup().double()
    plain.load_state_dict(net.state_dict())
    scored = {"n": 2, "curvature": curvature}
    scores = hessian_scores(net, F.cross_entropy, TOKENS, Y, **scored)
    expected = hessian_scores(plain, F.cross_entropy, TOKENS, Y, **scored)
    assert all(torch.equal(scores[name], S) for name, S in expected.items())


@pytest.mark.parametrize("write", WRITES)
def test_parameter_written_to_in_the_forward_pass_comes_back_to_the_bit(write):
    net = Clamped(WRITES[write]).double()
    X = torch.randn(6, 4, dtype=torch.float64)
    before = weights_of(net)
    scores = hessian_scores(net, F.cross_entropy, X, Y, n=2)
    assert_unchanged(net, before)
    net(X)
    net.clamp = lambda W: None
    for name, S in hessian_scores(net, F.cross_entropy, X, Y, n=2).items():
        assert_equal_to_reference(scores[name], S)
