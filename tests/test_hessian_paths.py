"""Outputs and layers that do not have a row for each sample."""

import pytest
import torch
from reference import assert_equal_to_reference, reference_scores
from torch import nn
from torch.nn import functional as F

from sklearn_hessreg import hessian_scores
from sklearn_hessreg._hessian import score_layers

X = torch.randn(6, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
Y = torch.arange(6) % 3


def seeded(make):
    """Make a network in float64, the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make().double()


class Summary(nn.Module):
    """Returns a second output behind a convolution; `summarise` makes it of h."""

    def __init__(self, summarise):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 2)
        self.hidden = nn.Linear(18, 4)
        self.last = nn.Linear(4, 3)
        self.summarise = summarise

    def forward(self, x):
        h = torch.relu(self.conv(x.view(-1, 1, 4, 4)))
        return self.last(torch.relu(self.hidden(h.flatten(1)))), self.summarise(h)


def both(outputs, y, rows=slice(None)):
    return F.cross_entropy(outputs[0], y) + outputs[1].square().sum()


@pytest.mark.parametrize(
    "summarise",
    [
        lambda h: h.square().mean(),
        lambda h: h.mean((0, 2, 3)),
        lambda h: h.flatten(1)[:, :0],
        lambda h: h[:0],
        lambda h: h.new_zeros(0, requires_grad=True),
    ],
    ids=["scalar", "a row for each channel", "no columns", "no rows", "constant"],
)
@pytest.mark.parametrize("layer", ["conv", "hidden", "last"])
def test_output_without_rows_of_samples_equals_the_materialised_hessian(
    layer, summarise
):
    net = seeded(lambda: Summary(summarise))
    S = hessian_scores(net, both, X, Y, layers=[layer], aggregation="sum")[layer]
    assert_equal_to_reference(S, reference_scores(net, both, X, Y, layer))


def test_output_in_which_samples_meet_is_refused_per_sample():
    net = seeded(lambda: Summary(lambda h: h.square().mean().square()))
    with pytest.raises(ValueError, match=r"samples interact.*'mean_loss'"):
        hessian_scores(net, both, X, Y, layers=["conv"], curvature="per_sample")


@pytest.mark.parametrize("curvature", ["mean_loss", "per_sample"])
def test_network_without_outputs_scores_zero(curvature):
    net = nn.Sequential(nn.Linear(16, 4), nn.Unflatten(1, (2, 2))).double()
    net[1].register_forward_hook(lambda module, args, y: y[:, :0])
    scores = hessian_scores(
        *(net, lambda z, _: z.square().sum(), X, Y),
        layers=["0"],
        curvature=curvature,
    )
    assert torch.equal(scores["0"], torch.zeros(4, 16, dtype=torch.float64))


class Mixture(nn.Module):
    """Every sample goes to one of two experts; no sample to the first one."""

    def __init__(self, make, skip):
        super().__init__()
        self.idle, self.busy = make(), make()
        self.last = nn.Linear(18, 3)
        self.skip = skip

    def forward(self, x):
        chosen, h = x[:, 0] > 100, x.new_zeros(len(x), 18)
        for expert, rows in ((self.idle, chosen), (self.busy, ~chosen)):
            if rows.any() or not self.skip:
                h[rows] = expert(x[rows]).flatten(1)
        return self.last(torch.relu(h))


EXPERTS = {
    "linear": lambda: nn.Linear(16, 18),
    "convolution": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 4, 4)), nn.Conv2d(1, 2, 2)
    ),
}


@pytest.mark.parametrize("curvature", ["mean_loss", "per_sample"])
@pytest.mark.parametrize("skip", [False, True], ids=["no rows", "not called"])
@pytest.mark.parametrize("expert", EXPERTS)
def test_expert_that_was_not_chosen_scores_zero(expert, skip, curvature):
    net = seeded(lambda: Mixture(EXPERTS[expert], skip))
    end = "" if expert == "linear" else ".1"
    layers = ["idle" + end, "busy" + end, "last"]
    scores = hessian_scores(
        *(net, F.cross_entropy, X, Y),
        layers=layers,
        aggregation="sum",
        curvature=curvature,
    )
    assert (scores[layers[0]] == 0).all()

    def loss(outputs, y, rows=slice(None)):
        return F.cross_entropy(outputs, y, reduction="none")[rows].sum() / len(y)

    for name in layers[1:]:
        reference = reference_scores(net, loss, X, Y, name, curvature)
        assert_equal_to_reference(scores[name], reference)


def test_layers_of_which_none_ran_score_zero_in_training():
    net = seeded(lambda: Mixture(EXPERTS["linear"], True))
    scores = score_layers(net, F.cross_entropy, X, Y, ["idle"])
    assert torch.equal(scores["idle"], torch.zeros(18, 16, dtype=torch.float64))


def test_layers_of_which_none_ran_are_refused():
    net = seeded(lambda: Mixture(EXPERTS["linear"], True))
    with pytest.raises(ValueError, match=r"\['idle'\] were not used"):
        hessian_scores(net, F.cross_entropy, X, Y, layers=["idle"])
