"""hessian_scores against the materialised Hessian, and its errors."""

import copy
from itertools import product

import numpy as np
import pytest
import torch
from perceptrons import ACTIVATIONS, LOSSES, N, make_net, shared
from reference import assert_all_layers_equal_the_reference, assert_equal_scores
from torch import nn
from torch.nn import functional as F

from sklearn_hessreg import hessian_scores


def weights():
    """Positive sample weights, one of them zero."""
    w = torch.rand(N, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    w[5] = 0
    return w


def make_problem(activation, hidden, loss_name, w):
    """Make a network, samples, targets and a loss of these weights."""
    n_outputs, per_sample = LOSSES[loss_name]
    return *make_net(activation, (4, *hidden, n_outputs)), shared(per_sample, w)


@pytest.mark.parametrize("curvature", ["mean_loss", "per_sample"])
@pytest.mark.parametrize("loss_name", LOSSES)
@pytest.mark.parametrize(
    ("activation", "hidden"),
    # without a hidden layer there is no activation
    [("relu", ()), ("relu", (6,)), ("tanh", (6,)), *product(ACTIVATIONS, [(5, 4, 6)])],
)
def test_all_layers_equal_the_materialised_hessian(
    activation, hidden, loss_name, curvature
):
    w = torch.ones(N, dtype=torch.float64)
    problem = make_problem(activation, hidden, loss_name, w)
    assert_all_layers_equal_the_reference(*problem, curvature)


@pytest.mark.parametrize("curvature", ["mean_loss", "per_sample"])
@pytest.mark.parametrize("loss_name", ["softmax", "logistic"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_sample_weights_enter_the_scores(activation, loss_name, curvature):
    problem = make_problem(activation, (6, 5), loss_name, weights())
    assert_all_layers_equal_the_reference(*problem, curvature)


def test_n_none_scores_all_layers():
    net, X, y = make_net("relu", (4, 6, 5, 3))
    assert list(hessian_scores(net, F.cross_entropy, X, y, n=None)) == ["0", "2", "4"]


def test_mean_of_batch_losses_scores_like_the_loss_of_all_samples():
    net, X, y = make_net("relu", (4, 6, 5, 3))

    def batched(outputs, targets):
        batches = zip(outputs.split(5), targets.split(5), strict=True)
        return sum(F.cross_entropy(z, t, reduction="sum") for z, t in batches) / N

    expected = hessian_scores(net, F.cross_entropy, X, y, n=3)
    assert_equal_scores(hessian_scores(net, batched, X, y, n=3), expected)


def test_dead_input_scores_exactly_zero():
    net, X, y = make_net("relu", (4, 6, 3))
    scores = hessian_scores(net, F.cross_entropy, X, y, n=2)
    assert (scores["0"][:, 1] == 0).all()
    assert (scores["2"][:, 0] == 0).all()


def test_mean_is_the_sum_divided_by_the_number_of_weights():
    net, X, y = make_net("relu", (4, 6, 3))
    mean = hessian_scores(net, F.cross_entropy, X, y)["2"]
    total = hessian_scores(net, F.cross_entropy, X, y, aggregation="sum")["2"]
    assert torch.equal(mean, total / 18)


def test_layers_selects_by_name():
    net, X, y = make_net("relu", (4, 6, 5, 3))
    every = hessian_scores(net, F.cross_entropy, X, y, n=3)
    scores = hessian_scores(net, F.cross_entropy, X, y, layers=["2"])
    assert list(scores) == ["2"]
    assert torch.equal(scores["2"], every["2"])


def test_module_and_global_generator_come_back_as_they_were():
    net, X, y = make_net("relu", (4, 6, 3))
    net.insert(2, nn.Dropout(0.5))
    net.train()
    net[0].eval()
    net[3].weight.grad = torch.ones_like(net[3].weight)
    before = copy.deepcopy(net.state_dict())
    modes = [m.training for m in net.modules()]
    rng = torch.get_rng_state()
    hessian_scores(net, F.cross_entropy, X, y, n=2)
    assert all(torch.equal(a, before[k]) for k, a in net.state_dict().items())
    assert [m.training for m in net.modules()] == modes
    assert torch.equal(net[3].weight.grad, torch.ones_like(net[3].weight))
    assert net[0].weight.grad is None
    assert all(not m._forward_hooks for m in net.modules())
    assert torch.equal(torch.get_rng_state(), rng)


@pytest.mark.parametrize("curvature", ["mean_loss", "per_sample"])
def test_loss_that_is_linear_in_the_outputs_scores_zero(curvature):
    net, X, y = make_net("relu", (4, 6, 3))
    scores = hessian_scores(net, lambda z, _: z.mean(), X, y, n=2, curvature=curvature)
    assert all((S == 0).all() for S in scores.values())


class Reversed(nn.Module):
    """Layers registered in another order than executed."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(3, 2)
        self.hidden = nn.Linear(3, 3)

    def forward(self, x):
        return self.out(torch.relu(self.hidden(x)))


BAD_CALLS = {
    "n too large": (nn.Linear(3, 2), {"n": 2}, "from 1 to 1"),
    "n zero": (nn.Linear(3, 2), {"n": 0}, "n=0"),
    "unknown aggregation": (nn.Linear(3, 2), {"aggregation": "max"}, "'max'.*'sum'"),
    "unknown curvature": (nn.Linear(3, 2), {"curvature": "x"}, "'x'.*'per_sample'"),
    "unknown layer": (nn.Linear(3, 2), {"layers": ["up"]}, "'up'"),
    "layers is a string": (nn.Linear(3, 2), {"layers": "0"}, r"\['0'\]"),
    "working_memory zero": (
        nn.Linear(3, 2),
        {"working_memory": 0},
        "working_memory=0 .*MiB",
    ),
    "several inputs in a tuple": (
        nn.Bilinear(3, 3, 2),
        {"inputs": (torch.ones(5, 3), torch.ones(5, 3))},
        r"inputs is a tuple.*Bilinear.*'input2'.*dict of tensors",
    ),
    "no weights": (nn.ReLU(), {}, "ReLU has no trainable layer"),
    "registered in another order": (Reversed(), {}, "order of execution"),
    "parametrised": (
        nn.utils.parametrizations.weight_norm(nn.Linear(3, 2)),
        {},
        "parametrised",
    ),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_bad_call_is_refused_with_the_value_and_what_is_allowed(case):
    module, options, message = BAD_CALLS[case]
    X, y = torch.ones(5, 3), torch.zeros(5, dtype=torch.long)
    with pytest.raises(ValueError, match=message):
        hessian_scores(module, F.cross_entropy, options.pop("inputs", X), y, **options)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int64])
def test_n_and_working_memory_may_be_numbers_of_numpy(kind):
    net, X, y = make_net("relu", (4, 6, 3))
    expected = hessian_scores(net, F.cross_entropy, X, y, n=1, working_memory=100)
    options = {"n": kind(1), "working_memory": kind(100)}
    scores = hessian_scores(net, F.cross_entropy, X, y, **options)
    assert list(scores) == ["2"]
    assert torch.equal(scores["2"], expected["2"])


def test_tuple_that_a_module_takes_as_one_argument_is_passed_as_it_is():
    class Added(nn.Linear):
        def forward(self, pair):
            return super().forward(pair[0] + pair[1])

    net, (X, y) = Added(3, 2), (torch.randn(5, 3), torch.zeros(5).long())
    scores = hessian_scores(net, F.cross_entropy, (X, 0 * X), y)
    assert (scores[""] > 0).any()


def test_loss_that_is_no_scalar_is_refused():
    loss = nn.CrossEntropyLoss(reduction="none")
    X, y = torch.ones(5, 3), torch.zeros(5, dtype=torch.long)
    with pytest.raises(ValueError, match=r"shape \(5,\).*mean or sum"):
        hessian_scores(nn.Linear(3, 2), loss, X, y)


def test_loss_without_gradient_is_refused():
    X, y = torch.ones(5, 3), torch.zeros(5, dtype=torch.long)
    with pytest.raises(ValueError, match=r"1.0 without a gradient.*detach"):
        hessian_scores(nn.Linear(3, 2), lambda *_: torch.tensor(1.0), X, y)
