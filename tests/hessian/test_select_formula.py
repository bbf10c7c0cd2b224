"""Which formula scores a layer; outputs and layers without a row for each sample."""

import re

import pytest
import torch
from networks import NETWORKS, Half, Single, Tokens, prepare, weighted
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


def paths(net, X, y, loss=weighted, **options):
    """Score all layers and return how each was scored."""
    layers = [
        name for name, m in net.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)
    ]
    scores = hessian_scores(net, loss, X, y, layers=layers, **options)
    return list(scores.formulas.values())


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("batch norm, dropout", ["streamed.*C=3 backward", "form, softmax"]),
        ("residual, LayerNorm", ["not piecewise linear"] * 2 + ["streamed"]),
        (
            "convolutions, relu",
            ["Jacobian.*Conv2d", "Jacobian.*Conv2d", "% of the pairs"],
        ),
        ("convolutions, gelu", ["row by row.*not piecewise"] * 2 + ["streamed"]),
        ("recurrent, relu", ["row by row.*used 3 times", "streamed"]),
        ("siamese", ["Jacobian.*used 2 times", "streamed"]),
        ("weight used directly", ["row by row.*outside of the layer", "streamed"]),
        ("subclass of Linear", ["row by row.*it is a Masked"] * 2),
        ("flattened positions", ["Jacobian.*rows interact"] * 2),
        ("shuffled samples", ["outputs have other rows", "streamed"]),
    ],
)
def test_scores_tell_the_formula_and_the_reason(network, expected):
    net, X, y = prepare(NETWORKS[network])
    messages = paths(net, X, y)
    assert len(messages) == len(expected)
    for message, pattern in zip(messages, expected, strict=True):
        assert re.search(pattern, message), message


def test_rows_that_do_not_interact_are_streamed_although_they_are_positions():
    net, X, y = prepare(lambda: Tokens(nn.ReLU()))
    messages = paths(net, X, y, loss=lambda z, y: z.logsumexp(2).mean())
    assert all("streamed" in message for message in messages)


def test_too_little_memory_for_a_jacobian_leads_to_row_by_row():
    net, X, y = prepare(NETWORKS["convolutions, relu"])
    messages = paths(net, X, y, working_memory=1e-4)
    assert "row by row" in messages[0]
    assert "exceeds working_memory" in messages[0]


@pytest.mark.parametrize("curvature", ["mean_loss", "per_sample"])
def test_layer_in_another_dtype_than_its_tail_is_scored_in_its_own(curvature):
    net, X, y = prepare(lambda: nn.Sequential(nn.Linear(4, 9), Single(), nn.ReLU()))
    net.append(nn.Linear(9, 3))
    S = hessian_scores(net, F.cross_entropy, X, y, layers=["0"], curvature=curvature)
    net[1] = nn.Identity()
    expected = hessian_scores(
        net.double(), F.cross_entropy, X, y, layers=["0"], curvature=curvature
    )
    assert S["0"].dtype == torch.float64
    # the tail is rounded to float32
    torch.testing.assert_close(
        S["0"], expected["0"], rtol=0, atol=1e-5 * expected["0"].max().item()
    )


@pytest.mark.parametrize("curvature", ["mean_loss", "per_sample"])
@pytest.mark.parametrize("gap", [10, 20, 25, 40, 90, 110])
def test_saturated_softmax_keeps_its_formula(gap, curvature):
    net, X, y = prepare(
        lambda: nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    )
    with torch.no_grad():
        net[2].bias[0] += gap
    messages = paths(
        *(net.float(), X.float(), y), loss=F.cross_entropy, curvature=curvature
    )
    formula = "streamed" if curvature == "mean_loss" else "factorised"
    assert all(formula in message for message in messages)


def test_nan_in_a_tail_does_not_lead_to_row_by_row():
    net, X, y = prepare(
        lambda: nn.Sequential(
            *(nn.Unflatten(1, (1, 4)), nn.Conv1d(1, 2, 2), nn.ReLU(), nn.Flatten()),
            *(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3)),
        )
    )
    with torch.no_grad():
        net[4].weight[0, 0] = float("nan")
    scores = hessian_scores(net, F.cross_entropy, X, y, layers=["1"])
    assert "Jacobian" in scores.formulas["1"]
    assert scores["1"].isnan().any()


@pytest.mark.parametrize("curvature", ["mean_loss", "per_sample"])
def test_autocast_inside_the_network_gives_scores_in_the_weights_dtype(curvature):
    net, X, y = prepare(Half)
    net, X = net.float(), X.float()
    scores = hessian_scores(net, F.cross_entropy, X, y, n=2, curvature=curvature)
    assert all(S.dtype == torch.float32 for S in scores.values())
    with torch.autocast("cpu", enabled=False):
        plain = nn.Sequential(net.first, nn.ReLU(), net.last)
        expected = hessian_scores(
            plain, F.cross_entropy, X, y, n=2, curvature=curvature
        )
    # bfloat16 has 8 bits: a few of its roundings, relative to the largest score
    for S, exact in zip(scores.values(), expected.values(), strict=True):
        assert (S - exact).abs().max() < 2**-3 * exact.max()


def test_jacobian_that_fits_behind_a_convolution_that_does_not_is_not_formed():
    net, X, y = prepare(NETWORKS["convolutions, relu"])
    # 3 x 72 weights and 27 outputs of the convolution, for 6 samples and 3 outputs
    messages = paths(net, X, y, working_memory=(3 * 6 * 3 * 12 + 100) * 8 / 2**20)
    assert "exceeds working_memory" in messages[0]
