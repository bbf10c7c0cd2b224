"""The zoo of modules that the tests of the scores share, and what they are given."""

import types

import torch
from torch import nn
from torch.nn import functional as F

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


class Half(nn.Module):
    """Two linear layers under autocast of their own."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 9)
        self.last = nn.Linear(9, 3)

    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.last(torch.relu(self.first(x)))


class Standardise(nn.Module):
    """Batch norm without running statistics: the samples of a batch interact."""

    def forward(self, x):
        return (x - x.mean(0)) / x.std(0)
