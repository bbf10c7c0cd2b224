"""Scores per sample of parts of the samples: the same sums, and less memory."""

import pytest
import torch
from networks import NETWORKS, Penalised, Tokens, TwoHeads, prepare, weighted
from reference import assert_equal_scores, assert_equal_to_reference
from torch import nn
from torch.nn import functional as F

from sklearn_hessreg import hessian_scores

LITTLE = 2e-3  # MiB: some 250 numbers in float64, the passes of one to three samples


def sizes_of_passes(net, *args, **options):
    """Score by sample; return the scores and how many samples each pass had."""
    sizes = []
    first = next(m for m in net.modules() if not list(m.children()))
    handle = first.register_forward_pre_hook(
        lambda module, args: sizes.append(len(args[0]))
    )
    try:
        scores = hessian_scores(net, *args, curvature="per_sample", **options)
    finally:
        handle.remove()
    return scores, sizes


def mlp(activation=nn.ReLU, sizes=(4, 6, 5, 3)):
    a, b, c, d = sizes
    return nn.Sequential(
        *(nn.Linear(a, b), activation(), nn.Linear(b, c), activation()),
        nn.Linear(c, d),
    )


def both(outputs, targets):
    label = F.cross_entropy(outputs["label"], targets)
    return label + (outputs["value"][0] - targets).square().mean()


DIVISIBLE = {
    "relu": (mlp, weighted, 3),
    "tanh": (lambda: mlp(nn.Tanh), weighted, 3),
    "convolutions": (NETWORKS["convolutions, relu"], weighted, 2),
    "row by row": (NETWORKS["convolutions, gelu"], weighted, 2),
    "positions": (
        lambda: Tokens(nn.ReLU()),
        lambda z, y: z.logsumexp(2).square().mean(),
        2,
    ),
    "several outputs": (lambda: TwoHeads(nn.ReLU()), both, 2),
    "another form of loss": (mlp, lambda z, y: F.cross_entropy(z / 2, y), 3),
}


@pytest.mark.parametrize("case", DIVISIBLE)
def test_parts_give_the_scores_of_all_samples_at_once(case):
    make, loss, n = DIVISIBLE[case]
    net, X, y = prepare(make)
    expected, _ = sizes_of_passes(net, loss, X, y, n=n)
    scores, sizes = sizes_of_passes(net, loss, X, y, n=n, working_memory=LITTLE)
    assert max(sizes) < len(X)
    assert_equal_scores(scores, expected)


@pytest.mark.parametrize("memory", [1e-2, 3e-2, 1.0])
def test_no_pass_has_more_samples_than_the_memory_allows(memory):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = mlp(sizes=(4, 16, 12, 3)).double()
    X, y = torch.randn(200, 4, dtype=torch.float64), torch.arange(200) % 3
    _, sizes = sizes_of_passes(net, F.cross_entropy, X, y, n=3, working_memory=memory)
    # inputs and results of each layer are held, in 8 bytes
    held = 8 * (4 + 2 * 16 + 2 * 12 + 3)
    assert max(sizes) * held <= max(memory * 2**20 / 2, 4 * held)


def test_inputs_in_a_dict_are_parted():
    net, X, y = prepare(mlp)
    options = {"n": 3, "curvature": "per_sample"}
    expected = hessian_scores(net, weighted, X, y, **options)
    scores = hessian_scores(
        *(net, weighted, {"input": X}, y), **options, working_memory=LITTLE
    )
    assert_equal_scores(scores, expected)


@pytest.mark.parametrize("network", ["shuffled samples", "flattened positions"])
def test_networks_whose_samples_change_places_are_not_parted(network):
    net, X, y = prepare(NETWORKS[network])
    options = {"n": 2, "curvature": "per_sample"}
    expected = hessian_scores(net, weighted, X, y, **options)
    scores = hessian_scores(net, weighted, X, y, **options, working_memory=LITTLE)
    assert_equal_scores(scores, expected)


def test_samples_of_two_parts_that_the_loss_couples_are_refused():
    net, X, y = prepare(mlp)
    with pytest.raises(ValueError, match="samples interact"):
        hessian_scores(
            *(net, lambda z, t: weighted(z, t) + z[0] @ z[5], X, y),
            curvature="per_sample",
            working_memory=LITTLE,
        )


def test_what_a_loss_finds_in_the_network_keeps_the_samples_together():
    net, X, y = prepare(Penalised)

    def loss(outputs, targets):
        return weighted(outputs, targets) + net.activation.square().mean()

    options = {"layers": ["last"], "curvature": "per_sample"}
    expected = hessian_scores(net, loss, X, y, **options)["last"]
    scores = hessian_scores(net, loss, X, y, **options, working_memory=LITTLE)
    assert_equal_to_reference(scores["last"], expected)


def test_layer_that_no_part_runs_is_refused():
    net, X, y = prepare(mlp)
    net.unused = nn.Linear(2, 2).double()
    net.forward = lambda x: nn.Sequential(*list(net)[:-1])(x)
    with pytest.raises(ValueError, match="were not used"):
        hessian_scores(
            *(net, weighted, X, y),
            layers=["unused"],
            curvature="per_sample",
            working_memory=LITTLE,
        )
