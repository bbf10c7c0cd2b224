"""How the cost of the scores grows with samples, weights and outputs: exponents.

``make bench`` runs it. Each exponent is the slope of a straight line through the
logarithms of size and median time, the sizes being large enough for their term to
count.
"""

import numpy as np
import torch
from measure import machine, median_seconds, print_table
from torch import nn
from torch.nn import functional as F

from sklearn_hessreg import hessian_scores


def scoring(net, shape, samples, classes, layer, curvature="mean_loss"):
    """Return a call that scores one layer on random samples."""
    torch.manual_seed(0)
    X, y = torch.randn(samples, *shape), torch.randint(0, classes, (samples,))
    return lambda: hessian_scores(
        net, F.cross_entropy, X, y, layers=[layer], curvature=curvature
    )


def streamed(N=512, fan_in=256, out=64, C=10):
    """Score a layer in which all pairs are streamed: inputs of both signs."""
    net = nn.Sequential(nn.Linear(fan_in, out), nn.Tanh(), nn.Linear(out, C))
    return scoring(net, (fan_in,), N, C, "0")


def per_sample(N=1024, fan_in=512, out=512, C=10):
    """Score a layer behind a piecewise linear tail, each sample by itself."""
    net = nn.Sequential(nn.Linear(fan_in, out), nn.LeakyReLU(), nn.Linear(out, C))
    return scoring(net, (fan_in,), N, C, "0", "per_sample")


def output_layer(N=16384, fan_in=512, C=10):
    """Score an output layer behind inputs of one sign."""
    net = nn.Sequential(nn.ReLU(), nn.Linear(fan_in, C))
    return scoring(net, (fan_in,), N, C, "1")


def jacobian(N=256, channels=16, C=10):
    """Score a convolution behind which all is piecewise linear."""
    net = nn.Sequential(
        *(nn.Conv2d(16, channels, 3, stride=2), nn.LeakyReLU(), nn.Flatten()),
        nn.Linear(channels * 4, C),
    )
    return scoring(net, (16, 6, 6), N, C, "0")


def row_by_row(N=256, channels=4, C=10):
    """Score a convolution with a smooth tail, weight by weight."""
    net = nn.Sequential(
        *(nn.Conv2d(4, channels, 3), nn.Tanh(), nn.Flatten()),
        nn.Linear(channels * 64, C),
    )
    return scoring(net, (4, 10, 10), N, C, "0")


GROWTH = (
    # formula, variable, its sizes, the exponent that the formula predicts
    (streamed, "N", (512, 1024, 2048, 4096), "1"),
    (streamed, "fan_in", (256, 512, 1024), "2"),
    (streamed, "out", (32, 64, 128), "2"),
    (streamed, "C", (10, 20, 40), "0"),
    (per_sample, "N", (512, 1024, 2048, 4096), "1"),
    (per_sample, "out", (512, 1024, 2048), "1 to 2"),
    (per_sample, "C", (10, 20, 40, 80), "0 to 1"),
    (output_layer, "N", (8192, 16384, 32768, 65536), "1"),
    (output_layer, "fan_in", (512, 1024, 2048), "1"),
    (output_layer, "C", (10, 20, 40, 80), "1 to 2"),
    (jacobian, "N", (256, 512, 1024), "1"),
    (jacobian, "channels", (16, 32, 64), "1 to 2"),
    (jacobian, "C", (10, 20, 40), "1"),
    (row_by_row, "N", (1024, 2048, 4096), "1"),
    (row_by_row, "channels", (4, 8, 16), "1 to 2"),
)


def main():
    """Measure all exponents and print them beside the predicted ones."""
    rows = []
    for make, variable, sizes, predicted in GROWTH:
        times = [median_seconds(make(**{variable: size}), 3) for size in sizes]
        slope = np.polyfit(np.log(sizes), np.log(times), 1)[0]
        sizes = ", ".join(map(str, sizes))
        rows.append([make.__name__, variable, sizes, predicted, f"{slope:.2f}"])
    columns = ["formula", "variable", "sizes", "predicted", "measured"]
    print_table("exponents of the cost", columns, rows)


if __name__ == "__main__":
    print(machine())
    main()
