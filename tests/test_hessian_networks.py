"""hessian_scores on networks of every kind, against the materialised Hessian."""

import copy
import itertools
import logging
import re
import types

import pytest
import torch
from reference import assert_equal_to_reference, reference_scores
from torch import nn
from torch.nn import functional as F

from sklearn_hessreg import hessian_scores
from sklearn_hessreg._hessian import weight_layers

N = 6


class Residual(nn.Module):
    """Two layers around a skip connection, the tail normalised."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 5)
        self.second = nn.Linear(5, 5)
        self.norm = nn.LayerNorm(5)
        self.last = nn.Linear(5, 3)

    def forward(self, x):
        h = torch.relu(self.first(x))
        return self.last(self.norm(h + torch.tanh(self.second(h))))


class FeatureAttention(nn.Module):
    """Every feature is a token; attention mixes the tokens of a sample."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(1, 4)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.last = nn.Linear(4, 3)

    def forward(self, x):
        tokens = torch.sin(self.embed(x[:, :, None]) + torch.arange(4.0).to(x))
        mixed, _ = self.attention(tokens, tokens, tokens, need_weights=False)
        return self.last((tokens + mixed).mean(1))


class Recurrent(nn.Module):
    """One layer used in three steps."""

    def __init__(self, activation=torch.tanh):
        super().__init__()
        self.step = nn.Linear(4, 4)
        self.last = nn.Linear(4, 3)
        self.activation = activation

    def forward(self, x):
        for _ in range(3):
            x = self.activation(self.step(x))
        return self.last(x)


class Siamese(nn.Module):
    """One layer applied to two halves of the input side by side."""

    def __init__(self):
        super().__init__()
        self.side = nn.Linear(2, 4)
        self.last = nn.Linear(4, 3)

    def forward(self, x):
        halves = torch.relu(self.side(x[:, :2])) - 2 * torch.relu(self.side(x[:, 2:]))
        return self.last(halves)


class TwoHeads(nn.Module):
    """Two outputs, in a dict, of one trunk."""

    def __init__(self, activation):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(4, 7), activation)
        self.label = nn.Linear(7, 3)
        self.value = nn.Linear(7, 1)

    def forward(self, x):
        h = self.trunk(x)
        return {"label": self.label(h), "value": (self.value(h)[:, 0], None)}


class Functional(nn.Module):
    """A layer whose weight is used beside the layer's own call."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.last = nn.Linear(4, 3)

    def forward(self, x):
        h = torch.tanh(self.layer(x))
        return self.last(F.linear(h, self.layer.weight.t()))


class Masked(nn.Linear):
    """A linear layer of another formula: half of the weights are squared."""

    def forward(self, x):
        return F.linear(x, torch.where(self.weight > 0, self.weight, self.weight**2))


class Tied(nn.Module):
    """Two linear layers that own the same weight."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4)
        self.b = nn.Linear(4, 4)
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.b(torch.tanh(self.a(x)))


class Tokens(nn.Module):
    """A position-wise network: (samples, positions, features) to as many positions."""

    def __init__(self, activation):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 6), activation, nn.Linear(6, 3))

    def forward(self, x):
        return self.body(x.unflatten(1, (2, 2)))


class Flattened(nn.Module):
    """The positions of a sample are rows of a matrix and are summed at the end."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 6)
        self.last = nn.Linear(6, 3)

    def forward(self, x):
        return self.last(torch.relu(self.first(x.reshape(-1, 2)))).view(-1, 2, 3).sum(1)


class Shuffled(nn.Module):
    """The samples leave the network in another order than they entered."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 6)
        self.last = nn.Linear(6, 3)

    def forward(self, x):
        return self.last(torch.relu(self.first(x)).flip(0))


def conv_net(activation, pool=nn.MaxPool2d):
    """Convolutions of two kinds behind batch norm and dropout."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 2, 2)),
        nn.Conv2d(1, 3, 2, padding=1, padding_mode="replicate"),
        nn.BatchNorm2d(3),
        activation,
        pool(2, stride=1),
        nn.Dropout(0.5),
        nn.Conv2d(3, 4, 2, groups=1, stride=2),
        activation,
        nn.Flatten(),
        nn.Linear(4, 3),
    )


class Square(nn.Module):
    """A bilinear layer that is given one tensor twice."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Bilinear(3, 3, 2)

    def forward(self, x):
        return self.layer(x, x)


NETWORKS = {
    "residual, LayerNorm": Residual,
    "attention over features": FeatureAttention,
    "recurrent, tanh": Recurrent,
    "recurrent, relu": lambda: Recurrent(torch.relu),
    "siamese": Siamese,
    "weight used directly": Functional,
    "subclass of Linear": lambda: nn.Sequential(Masked(4, 5), nn.Tanh(), Masked(5, 3)),
    "tied weights": Tied,
    "flattened positions": Flattened,
    "shuffled samples": Shuffled,
    "convolutions, relu": lambda: conv_net(nn.ReLU()),
    "convolutions, gelu": lambda: conv_net(nn.GELU(), nn.AvgPool2d),
    "transposed convolution": lambda: nn.Sequential(
        nn.Unflatten(1, (4, 1)), nn.ConvTranspose1d(4, 3, 2), nn.ReLU(), nn.Flatten()
    ),
    "bilinear": lambda: nn.Sequential(nn.Linear(4, 3), Square(), nn.Linear(2, 3)),
    "batch norm, dropout": lambda: nn.Sequential(
        nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(), nn.Linear(6, 3)
    ),
}


def prepare(make, seed=0):
    """Make a network in float64 with some running statistics, data and labels."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = make().double()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.normal_(std=0.7)
        X = torch.randn(N, 4, dtype=torch.float64)
        y = torch.randint(0, 3, (N,))
        net.train()(X)
    return net, X, y


W = torch.tensor([1.0, 0.5, 2.0, 0.0, 1.0, 3.0], dtype=torch.float64)


def weighted(outputs, y, rows=slice(None)):
    """Weighted mean of the cross-entropies; with `rows` their share of it."""
    losses = F.cross_entropy(outputs, y, reduction="none")
    return (W * losses)[rows].sum() / W.sum()


def assert_all_layers_equal_the_reference(net, X, y, loss, curvature):
    """Compare the scores of every weight layer with the definition, in eval mode."""
    scores = hessian_scores(
        net, loss, X, y, n=1, aggregation="sum", curvature=curvature
    )
    (last,) = scores
    layers = [
        name
        for name, layer in net.named_modules()
        if isinstance(getattr(layer, "weight", None), torch.Tensor)
        and layer.weight.ndim > 1
        and name != "a"  # tied weights go by the last layer
    ]
    assert layers[-1] == last
    scores = hessian_scores(
        net, loss, X, y, layers=layers, aggregation="sum", curvature=curvature
    )
    net.eval()
    for name, S in scores.items():
        assert_equal_to_reference(S, reference_scores(net, loss, X, y, name, curvature))


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


def paths(caplog, net, X, y, loss=weighted, **options):
    """Score all layers and return the log's message for each."""
    caplog.set_level(logging.DEBUG, logger="sklearn_hessreg")
    caplog.clear()
    layers = [
        name for name, m in net.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)
    ]
    hessian_scores(net, loss, X, y, layers=layers, **options)
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("batch norm, dropout", ["streamed.*C=3 backward", "double backward"]),
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
def test_log_tells_the_path_and_the_reason(network, expected, caplog):
    net, X, y = prepare(NETWORKS[network])
    messages = paths(caplog, net, X, y)
    assert len(messages) == len(expected)
    for message, pattern in zip(messages, expected, strict=True):
        assert re.search(pattern, message), message


def test_rows_that_do_not_interact_are_streamed_although_they_are_positions(caplog):
    net, X, y = prepare(lambda: Tokens(nn.ReLU()))
    messages = paths(caplog, net, X, y, loss=lambda z, y: z.logsumexp(2).mean())
    assert all("streamed" in message for message in messages)


def test_too_little_memory_for_a_jacobian_leads_to_row_by_row(caplog):
    net, X, y = prepare(NETWORKS["convolutions, relu"])
    messages = paths(caplog, net, X, y, working_memory=1e-4)
    assert "row by row" in messages[0]
    assert "exceeds working_memory" in messages[0]


class Transposed(nn.Module):
    """An autoencoder that decodes by the transposed weight of its encoder."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(4, 3)

    def forward(self, x):
        return F.linear(torch.tanh(self.encoder(x)), self.encoder.weight.T)[:, :3]


class Features(nn.Module):
    """One output is computed from another, and both are returned."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 3))
        self.last = nn.Linear(3, 3)

    def forward(self, x):
        features = self.body(x)
        return {"features": features, "logits": self.last(features)}


class Derivative(nn.Module):
    """The network differentiates itself, and so uses its weights backwards."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 5)
        self.last = nn.Linear(5, 1)

    def forward(self, x):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            u = self.last(torch.tanh(self.first(x)))
            (du,) = torch.autograd.grad(u.sum(), x, create_graph=True)
        return torch.cat([u, du[:, :2]], 1)


class Swapped(nn.Module):
    """Two samples change places."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 6)
        self.last = nn.Linear(6, 3)

    def forward(self, x):
        return self.last(torch.relu(self.first(x)))[[0, 4, 2, 3, 1, 5]]


class Penalised(nn.Module):
    """Keeps its hidden activation where a loss can find it."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 5)
        self.last = nn.Linear(5, 3)

    def forward(self, x):
        self.activation = torch.relu(self.first(x))
        return self.last(self.activation)


class Boxed(nn.Module):
    """Returns an object that no library knows."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x):
        return types.SimpleNamespace(logits=torch.tanh(self.layer(x)))


def own_forward():
    """A linear layer whose instance computes something else."""
    net = nn.Sequential(nn.Linear(4, 3))
    net[0].forward = types.MethodType(
        lambda self, x: F.linear(x, self.weight.tanh(), self.bias), net[0]
    )
    return net


def group_norm():
    """Group norm behind a convolution: its batched second derivative is wrong."""
    return nn.Sequential(
        *(nn.Unflatten(1, (4, 1)), nn.Conv1d(4, 6, 1), nn.GroupNorm(1, 6)),
        *(nn.Flatten(), nn.Linear(6, 3)),
    )


class Doubled(nn.Sequential):
    """Returns its result twice."""

    def forward(self, x):
        y = super().forward(x)
        return y, y


class WeightOut(nn.Module):
    """Returns its weight beside its result."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x):
        return self.layer(x), self.layer.weight


class Fourier(nn.Module):
    """Complex numbers out."""

    def forward(self, x):
        return torch.fft.fft(x)[:, :3]


class Mean(nn.Module):
    """One number out."""

    def forward(self, x):
        return x.square().mean()


class Single(nn.Module):
    """Rounds to float32."""

    def forward(self, x):
        return x.float()


class Counter(nn.Module):
    """Counts its calls in a buffer, in place."""

    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(1))

    def forward(self, x):
        self.count += 1
        return x


class Squeezed(nn.Linear):
    """A layer of one output that fails on a single sample."""

    def __init__(self):
        super().__init__(4, 1)

    def forward(self, x):
        return F.linear(x, self.weight, self.bias).squeeze() + torch.zeros(len(x), 1)[1]


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


def test_samples_of_opposite_weight_do_not_cancel_per_sample():
    net, X, y = prepare(
        lambda: nn.Sequential(
            *(nn.Unflatten(1, (1, 4)), nn.Conv1d(1, 2, 2), nn.Tanh()),
            *(nn.Flatten(), nn.Linear(6, 1)),
        )
    )
    X[3:] = X[:3]
    sign = torch.tensor([1.0, 1, 1, -1, -1, -1], dtype=torch.float64)

    def critic(outputs, _, rows=slice(None)):
        return (sign * outputs[:, 0])[rows].sum()

    assert_all_layers_equal_the_reference(net, X, y, critic, "per_sample")


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


def test_pair_of_units_counts_once_where_its_curvature_is_a_rounded_zero():
    first, second = nn.Linear(1, 3, bias=False), nn.Linear(3, 3)
    last = nn.Linear(3, 2, bias=False)
    with torch.no_grad():
        first.weight.fill_(1)
        second.weight.copy_(torch.tensor([[0.1, 0.3, 0], [0.3, -0.1, 0], [1, 1, 1]]))
        second.bias.copy_(torch.tensor([1, 1, -3.5]))
        last.weight.copy_(torch.tensor([[1.0, 0, 1], [0, 1, 0]]))
    net = nn.Sequential(first, second, nn.ReLU(), last).double()
    X = torch.tensor([[1.0], [2], [3]], dtype=torch.float64)
    loss = lambda z, _: z.square().sum() / 3.7  # noqa: E731
    S = hessian_scores(net, loss, X, None, layers=["0"], aggregation="sum")["0"]
    assert_equal_to_reference(S, reference_scores(net, loss, X, None, "0"))


@pytest.mark.parametrize("curvature", ["mean_loss", "per_sample"])
@pytest.mark.parametrize("gap", [10, 20, 25, 40, 90, 110])
def test_saturated_softmax_keeps_its_formula(gap, curvature, caplog):
    net, X, y = prepare(
        lambda: nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    )
    with torch.no_grad():
        net[2].bias[0] += gap
    messages = paths(
        *(caplog, net.float(), X.float(), y), loss=F.cross_entropy, curvature=curvature
    )
    formula = "streamed" if curvature == "mean_loss" else "factorised"
    assert all(formula in message for message in messages)


def test_nan_in_a_tail_does_not_lead_to_row_by_row(caplog):
    net, X, y = prepare(
        lambda: nn.Sequential(
            *(nn.Unflatten(1, (1, 4)), nn.Conv1d(1, 2, 2), nn.ReLU(), nn.Flatten()),
            *(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3)),
        )
    )
    with torch.no_grad():
        net[4].weight[0, 0] = float("nan")
    caplog.set_level(logging.DEBUG, logger="sklearn_hessreg")
    S = hessian_scores(net, F.cross_entropy, X, y, layers=["1"])["1"]
    assert "Jacobian" in caplog.text
    assert S.isnan().any()


def test_loss_may_change_its_arguments_in_place():
    net, X, y = prepare(NETWORKS["batch norm, dropout"])
    expected = hessian_scores(net, lambda z, t: weighted(2 * z, t), X, y, n=2)
    scores = hessian_scores(net, lambda z, t: weighted(z.mul_(2), t), X, y, n=2)
    assert all(torch.equal(scores[name], S) for name, S in expected.items())


def test_per_sample_refuses_a_single_pair_of_interacting_samples():
    net, X, y = prepare(lambda: nn.Sequential(nn.Linear(4, 3)))
    for i, j in itertools.combinations(range(N), 2):

        def loss(z, t, i=i, j=j):
            return weighted(z, t) + (z[i] * z[j]).sum()

        with pytest.raises(ValueError, match="samples interact"):
            hessian_scores(net, loss, X, y, curvature="per_sample")


class Half(nn.Module):
    """Two linear layers under autocast of their own."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 9)
        self.last = nn.Linear(9, 3)

    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.last(torch.relu(self.first(x)))


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


def test_jacobian_that_fits_behind_a_convolution_that_does_not_is_not_formed(caplog):
    net, X, y = prepare(NETWORKS["convolutions, relu"])
    # 3 x 72 weights and 27 outputs of the convolution, for 6 samples and 3 outputs
    messages = paths(
        caplog, net, X, y, working_memory=(3 * 6 * 3 * 12 + 100) * 8 / 2**20
    )
    assert "exceeds working_memory" in messages[0]


def test_scores_under_autocast_are_those_of_the_modules_own_dtype():
    net, X, y = prepare(NETWORKS["batch norm, dropout"])
    net, X = net.float(), X.float()
    expected = hessian_scores(net, F.cross_entropy, X, y, n=2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = hessian_scores(net, F.cross_entropy, X, y, n=2)
    assert all(torch.equal(scores[name], S) for name, S in expected.items())


def test_scores_can_be_had_in_inference_mode():
    net, X, y = prepare(NETWORKS["batch norm, dropout"])
    expected = hessian_scores(net, F.cross_entropy, X, y, n=2)
    with torch.inference_mode():
        scores = hessian_scores(net, F.cross_entropy, X, y, n=2)
    assert all(torch.equal(scores[name], S) for name, S in expected.items())


def test_buffers_and_spectral_norm_come_back_as_they_were():
    net, X, y = prepare(
        lambda: nn.Sequential(
            *(nn.utils.parametrizations.spectral_norm(nn.Linear(4, 5)), nn.Tanh()),
            *(Counter(), nn.Linear(5, 3)),
        )
    )
    before = copy.deepcopy(net.state_dict())
    hessian_scores(net.train(), weighted, X, y)
    assert all(torch.equal(a, before[key]) for key, a in net.state_dict().items())


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([[1.0, 2.0, 3.0, 4.0]], "inputs is a list.*dict of"),
        (torch.tensor(1.0), r"inputs is a shape \(\)"),
        (torch.ones(0, 4), r"inputs is a shape \(0, 4\).*one sample"),
    ],
)
def test_inputs_that_are_no_samples_are_refused(inputs, message):
    with pytest.raises(ValueError, match=message):
        hessian_scores(nn.Linear(4, 3), F.cross_entropy, inputs, torch.zeros(1).long())


def test_per_sample_refuses_a_network_that_cannot_be_called_sample_by_sample():
    X, y = torch.ones(3, 4, dtype=torch.float64), torch.zeros(3).long()
    net = nn.Sequential(Squeezed(), nn.Tanh())
    with pytest.raises(ValueError, match=r"sample by sample.*'mean_loss'"):
        hessian_scores(net.double(), lambda z, y: z.sum(), X, y, curvature="per_sample")


class Standardise(nn.Module):
    """Batch norm without running statistics: the samples of a batch interact."""

    def forward(self, x):
        return (x - x.mean(0)) / x.std(0)


def contrastive(outputs, y, rows=slice(None)):
    """A loss in which every sample is compared with every other."""
    return F.cross_entropy(outputs @ outputs.T, torch.arange(len(y)))


INTERACTING = {
    "module": (lambda: nn.Sequential(nn.Linear(4, 3), Standardise()), F.cross_entropy),
    "behind a hidden layer": (
        lambda: nn.Sequential(nn.Linear(4, 5), Standardise(), nn.Linear(5, 3)),
        F.cross_entropy,
    ),
    "loss": (lambda: nn.Sequential(nn.Linear(4, 3)), contrastive),
    "convolution": (
        lambda: nn.Sequential(
            *(nn.Unflatten(1, (1, 4)), nn.Conv1d(1, 1, 2), nn.Flatten(), Standardise())
        ),
        F.cross_entropy,
    ),
}


@pytest.mark.parametrize("case", INTERACTING)
def test_interacting_samples_are_refused_per_sample(case):
    make, loss = INTERACTING[case]
    net, X, y = prepare(make)
    with pytest.raises(ValueError, match=r"samples interact.*'mean_loss'"):
        hessian_scores(
            net, loss, X, y, layers=[weight_layers(net)[0]], curvature="per_sample"
        )


@pytest.mark.parametrize("case", INTERACTING)
def test_interacting_samples_equal_the_materialised_hessian_of_the_mean_loss(case):
    make, loss = INTERACTING[case]
    net, X, y = prepare(make)
    scores = hessian_scores(
        net, loss, X, y, n=len(weight_layers(net)), aggregation="sum"
    )
    for name, S in scores.items():
        assert_equal_to_reference(S, reference_scores(net, loss, X, y, name))


@pytest.mark.parametrize("network", ["convolutions, gelu", "attention over features"])
@pytest.mark.parametrize("curvature", ["mean_loss", "per_sample"])
def test_any_network_comes_back_as_it_was(network, curvature):
    net, X, y = prepare(NETWORKS[network])
    net.train()
    before = copy.deepcopy(net.state_dict())
    seen = []
    handle = net[-1] if isinstance(net, nn.Sequential) else net.last
    handle = handle.register_forward_hook(lambda *_: seen.append(1))
    rng = torch.get_rng_state()
    layers = ["embed", "last"] if hasattr(net, "embed") else weight_layers(net)
    hessian_scores(net, weighted, X, y, layers=layers, curvature=curvature)
    assert all(torch.equal(a, before[key]) for key, a in net.state_dict().items())
    assert all(m.training for m in net.modules())
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
    assert [len(m._forward_hooks) for m in net.modules()].count(1) == 1
    assert torch.equal(torch.get_rng_state(), rng)
    assert torch.backends.mha.get_fastpath_enabled()
    handle.remove()


def test_layer_norm_with_a_matrix_of_gains_is_no_weight_layer():
    net = nn.Sequential(nn.Unflatten(1, (2, 2)), nn.LayerNorm((2, 2)), nn.Flatten())
    assert weight_layers(net) == []
