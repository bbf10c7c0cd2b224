"""The networks, samples and layers whose scores are timed."""

import os
from dataclasses import dataclass
from itertools import pairwise

import torch
from mnist import load_mnist
from torch import nn
from torch.nn import functional as F

TRAINED = ".bench"  # folder of the trained weights


@dataclass
class Case:
    """One layer (or several) of a network on some samples."""

    title: str
    module: nn.Module
    inputs: torch.Tensor
    targets: torch.Tensor
    layers: list
    flops: float  # operations of the formulas, products with zeros included
    curvature: str = "mean_loss"

    @property
    def weights(self):
        """Number of weights of the layers."""
        layers = map(self.module.get_submodule, self.layers)
        return sum(layer.weight.numel() for layer in layers)


def pairs(d):
    """Count the unordered pairs, q = d (d + 1) / 2."""
    return d * (d + 1) // 2


def forward_flops(module, samples):
    """Operations of a forward pass through linear layers."""
    linear = (m for m in module.modules() if isinstance(m, nn.Linear))
    return 2 * samples * sum(m.weight.numel() for m in linear)


def multi_layer_perceptron(*sizes, activation=nn.ReLU):
    """Linear layers with an activation between them."""
    parts = []
    for fan_in, fan_out in pairwise(sizes):
        parts += [nn.Linear(fan_in, fan_out), activation()]
    return nn.Sequential(*parts[:-1])


def paper_net():
    """Make the paper's network, not trained."""
    return multi_layer_perceptron(784, 1000, 1000, 500, 200, 10)


def tanh_net():
    """Make a small network with a smooth tail."""
    return multi_layer_perceptron(784, 64, 32, 10, activation=nn.Tanh)


def conv_net():
    """Make a small convolutional network."""
    return nn.Sequential(
        *(nn.Unflatten(1, (1, 28, 28)), nn.Conv2d(1, 8, 5, stride=2), nn.ReLU()),
        *(nn.Conv2d(8, 16, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(400, 10)),
    )


def trained(make, epochs):
    """Train a network on MNIST with Adam, or read what an earlier call has trained."""
    path = os.path.join(TRAINED, f"{make.__name__}_{epochs}_epochs.pt")
    torch.manual_seed(0)
    net = make()
    if os.path.exists(path):
        net.load_state_dict(torch.load(path, weights_only=True))
        return net
    X, y = images()
    optimizer = torch.optim.Adam(net.parameters(), fused=True)
    for _ in range(epochs):
        for rows in torch.randperm(len(X)).split(64):
            optimizer.zero_grad()
            F.cross_entropy(net(X[rows]), y[rows]).backward()
            optimizer.step()
    os.makedirs(TRAINED, exist_ok=True)
    torch.save(net.state_dict(), path)
    return net


def images(count=None):
    """Return a random choice of the training images and their digits."""
    X, y, _, _ = load_mnist()
    X, y = torch.from_numpy(X), torch.from_numpy(y.astype("int64"))
    if count is None:
        return X, y
    rows = torch.randperm(len(X), generator=torch.Generator().manual_seed(0))[:count]
    return X[rows], y[rows]


def last_layer(samples=1024):
    """Make the case of the paper's output layer: the forward pass and one product."""
    net = trained(paper_net, 3)
    flops = forward_flops(net, samples) + 2 * samples * 10 * 200
    return Case(
        f"output layer 200 to 10, ReLU, N={samples:,}",
        *(net, *images(samples), ["8"], flops),
    )


def last_layer_all_images():
    """Make the case of the output layer on all images."""
    return last_layer(60000)


def last_layer_alone(samples=1024):
    """Make the case of the output layer without the forward pass in front of it."""
    net = trained(paper_net, 3)
    X, y = images(samples)
    with torch.no_grad():
        h = net[:8](X)
    return Case(
        f"output layer 200 to 10 alone, its inputs given, N={samples:,}",
        *(net[8:], h, y, ["8"], 2 * 2 * samples * 10 * 200),
    )


def hidden_layer(samples=512):
    """Make the case of a hidden layer: all pairs of units by all pairs of inputs."""
    net = trained(paper_net, 3)
    flops = 2 * samples * pairs(200) * pairs(500)
    return Case(
        f"hidden layer 500 to 200, ReLU, N={samples}",
        *(net, *images(samples), ["6"], flops),
    )


def all_layers_per_sample(samples=1024):
    """Make the case of all layers: forward, C backward passes, and B_n itself."""
    net, C = trained(paper_net, 3), 10
    curvature = sum(2 * samples * C * pairs(d) for d in (1000, 1000, 500, 200, 10))
    return Case(
        f"all five layers, per_sample, N={samples:,}",
        *(net, *images(samples), [str(2 * i) for i in range(5)]),
        (1 + C) * forward_flops(net, samples) + curvature,
        "per_sample",
    )


def all_layers_per_sample_all_images():
    """Make the case of all layers on all images, in parts that fit into the memory."""
    return all_layers_per_sample(60000)


def smooth_tail(samples=512):
    """Make the case of a hidden layer behind which nothing is piecewise linear."""
    flops = 2 * samples * pairs(32) * pairs(64)
    return Case(
        f"hidden layer 64 to 32, tanh, N={samples}",
        *(trained(tanh_net, 3), *images(samples), ["2"], flops),
    )


def convolution(samples=256):
    """Make the case of a convolution: the product of Jacobians."""
    net, C = trained(conv_net, 3), 10
    flops = 2 * samples * C * pairs(16 * 8 * 3 * 3)
    return Case(
        f"convolution 8 to 16 channels, 3 x 3, ReLU, N={samples}",
        *(net, *images(samples), ["3"], flops),
    )


CASES = {
    make.__name__: make
    for make in (
        last_layer,
        last_layer_alone,
        last_layer_all_images,
        hidden_layer,
        all_layers_per_sample,
        all_layers_per_sample_all_images,
        smooth_tail,
        convolution,
    )
}
