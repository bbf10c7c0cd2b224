"""Properties of hessian_scores for architectures, losses and weights at random."""

from itertools import pairwise

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from perceptrons import ACTIVATIONS, LOSSES, shared
from reference import assert_equal_to_reference, reference_scores
from torch import nn

from sklearn_hessreg import hessian_scores

# the same examples in every run, without a clock
settings.register_profile("same", derandomize=True, deadline=None, max_examples=40)
settings.load_profile("same")
# what is left of a curvature that cancels, as in 1 - tanh(z) ** 2 for large z: some eps
# times products of inputs, which are of the order of 10
ROUNDING = 1e-12


class Skip(nn.Module):
    """Adds what a block makes of its input to the input."""

    def __init__(self, block):
        super().__init__()
        self.block = block

    def forward(self, x):
        return x + self.block(x)


@st.composite
def problems(draw):
    """Draw a network, a loss with sample weights, samples and targets, in float64."""
    loss_name = draw(st.sampled_from(sorted(LOSSES)))
    n_outputs, per_sample = LOSSES[loss_name]
    sizes = [*draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)), n_outputs]
    parts = []
    for fan_in, fan_out in pairwise(sizes):
        activation = ACTIVATIONS[draw(st.sampled_from(sorted(ACTIVATIONS)))]
        block = nn.Sequential(nn.Linear(fan_in, fan_out), activation())
        skip = fan_in == fan_out and draw(st.booleans())
        parts.append(Skip(block) if skip else block)
    if len(parts) and not isinstance(parts[-1], Skip):
        parts[-1] = parts[-1][0]
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    net, scale = nn.Sequential(*parts).double(), draw(st.sampled_from([0.3, 1.0, 3.0]))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(std=scale, generator=generator)
    n = draw(st.integers(1, 8))
    X = torch.randn(n, sizes[0], generator=generator, dtype=torch.float64)
    y = torch.randint(0, 3, (n,), generator=generator)
    weights = draw(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=n, max_size=n))
    w = torch.tensor(weights, dtype=torch.float64)
    w[draw(st.integers(0, n - 1))] = 2.0
    return net, shared(per_sample, w), X, y


def all_scores(net, loss, X, y, curvature):
    """Score all linear layers of a network."""
    layers = [name for name, m in net.named_modules() if isinstance(m, nn.Linear)]
    return hessian_scores(
        net, loss, X, y, layers=layers, aggregation="sum", curvature=curvature
    )


@given(problems(), st.sampled_from(["mean_loss", "per_sample"]))
def test_scores_equal_the_materialised_hessian(problem, curvature):
    net, loss, X, y = problem
    for name, S in all_scores(net, loss, X, y, curvature).items():
        reference = reference_scores(net, loss, X, y, name, curvature)
        assert_equal_to_reference(S, reference, ROUNDING)


@given(problems(), st.sampled_from(["mean_loss", "per_sample"]))
def test_scores_are_those_of_the_loss_times_a_factor(problem, curvature):
    net, loss, X, y = problem
    expected = all_scores(net, loss, X, y, curvature)
    scores = all_scores(net, lambda z, t: 4 * loss(z, t), X, y, curvature)
    for name, S in scores.items():
        assert_equal_to_reference(S, 4 * expected[name], ROUNDING)


@given(problems())
def test_nothing_cancels_per_sample(problem):
    net, loss, X, y = problem
    mean_loss = all_scores(net, loss, X, y, "mean_loss")
    for name, S in all_scores(net, loss, X, y, "per_sample").items():
        assert (mean_loss[name] <= S + 1e-10 * S.max()).all()
