"""hessian_scores on networks of every kind, against the materialised Hessian."""

import pytest
import torch
from networks import (
    NETWORKS,
    Boxed,
    Derivative,
    Doubled,
    Features,
    Fourier,
    Mean,
    Penalised,
    Swapped,
    Tokens,
    Transposed,
    TwoHeads,
    W,
    WeightOut,
    group_norm,
    own_forward,
    prepare,
    weighted,
)
from reference import assert_all_layers_equal_the_reference, assert_equal_to_reference
from torch import nn
from torch.nn import functional as F

from sklearn_hessreg import hessian_scores


# torch has no batching rule for bilinear layers, and says so
@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
@pytest.mark.parametrize("curvature", ["mean_loss", "per_sample"])
@pytest.mark.parametrize("network", NETWORKS)
def test_all_layers_of_any_network_equal_the_materialised_hessian(network, curvature):
    net, X, y = prepare(NETWORKS[network])
    if network == "shuffled samples":
        y = y.flip(0)
    assert_all_layers_equal_the_reference(net, X, y, weighted, curvature)


def both(outputs, targets, rows=slice(None)):
    """Sum of two heads' losses, or the share of some rows in it."""
    label = F.cross_entropy(outputs["label"], targets, reduction="none")
    value = (outputs["value"][0] - targets).square()
    return (label + value)[rows].sum()


@pytest.mark.parametrize("curvature", ["mean_loss", "per_sample"])
@pytest.mark.parametrize("activation", [nn.ReLU(), nn.Tanh()])
def test_several_outputs_equal_the_materialised_hessian(activation, curvature):
    net, X, y = prepare(lambda: TwoHeads(activation))
    assert_all_layers_equal_the_reference(net, X, y, both, curvature)


@pytest.mark.parametrize("curvature", ["mean_loss", "per_sample"])
@pytest.mark.parametrize("activation", [nn.ReLU(), nn.Tanh()])
def test_position_wise_layers_equal_the_materialised_hessian(activation, curvature):
    net, X, y = prepare(lambda: Tokens(activation))

    def loss(outputs, y, rows=slice(None)):
        targets = y[:, None].expand(-1, 2)
        losses = F.cross_entropy(outputs.transpose(1, 2), targets, reduction="none")
        return losses[rows].sum()

    assert_all_layers_equal_the_reference(net, X, y, loss, curvature)


TRAPS = {
    "transposed weight": (Transposed, weighted),
    "outputs of outputs": (Features, lambda z, y: weighted(z["logits"], y)),
    "one output twice": (
        lambda: Doubled(nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 3)),
        lambda z, y: weighted(z[0], y) + weighted(z[1], y),
    ),
    "two samples swapped": (Swapped, lambda z, y: (W[:, None] * z.exp()).sum()),
    "one pair of samples interacts": (
        lambda: nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)),
        lambda z, y: weighted(z, y) + (z[1] * z[4]).sum(),
    ),
    "weight is an output": (WeightOut, lambda z, y: weighted(z[0], y) + z[1].norm()),
    "forward of the instance": (own_forward, weighted),
    "group norm": (group_norm, weighted),
    "outputs in an object": (Boxed, lambda z, y: weighted(z.logits, y)),
    "complex outputs": (
        lambda: nn.Sequential(nn.Linear(4, 9), nn.ReLU(), Fourier()),
        lambda z, y: z.abs().square().square().sum(),
    ),
    "nothing but a scalar": (
        lambda: nn.Sequential(nn.Linear(4, 3), nn.Tanh(), Mean()),
        lambda z, y: z,
    ),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_networks_that_break_a_formulas_assumption_equal_the_materialised_hessian(
    trap,
):
    make, loss = TRAPS[trap]
    net, X, y = prepare(make)
    assert_all_layers_equal_the_reference(net, X, y, loss, "mean_loss")


def test_weights_that_are_used_backwards_enter_the_scores():
    net, X, y = prepare(Derivative)
    scores = hessian_scores(net, weighted, X, y, n=2, aggregation="sum")
    for name, S in scores.items():
        weight = net.get_submodule(name).weight

        def loss_of(W, key=f"{name}.weight"):
            return weighted(torch.func.functional_call(net, {key: W}, (X,)), y)

        # torch.func cannot transform a network that differentiates itself
        block = torch.autograd.functional.hessian(loss_of, weight.detach())
        assert_equal_to_reference(S, block.abs().sum((2, 3)))


def test_penalty_on_an_activation_enters_the_scores():
    net, X, y = prepare(Penalised)
    loss = lambda z, y: weighted(z, y) + net.activation.square().sum()  # noqa: E731
    assert_all_layers_equal_the_reference(net, X, y, loss, "mean_loss")
