"""float32 scores against a bound on their rounding errors, derived operation by one.

With the unit roundoff u = 2^-24 and g(m) = m u / (1 - m u), a sum of m products in any
order is wrong by at most g(m) times the sum of their absolute values. Followed through
the network with the absolute values of everything, that gives errors e of the inputs h,
of the derivatives A of the outputs, and of their curvature S. A score is a sum of
absolute sums of products of these, so it is wrong by at most

    (1 + g(N + P + 2 C + 8)) T(|A| + e_A, |S| + e_S, |h| + e_h) - T(|A|, |S|, |h|),

where T(A, S, h) = sum_nkl (A_n' S_n A_n)_ik h_nj h_nl is the score if nothing cancels.
The bound holds as long as no rounding moves a unit across the kink of its ReLU.
"""

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sklearn_hessreg import hessian_scores


def g(m):
    """Bound the relative error of m roundings of float32."""
    return m * 2**-24 / (1 - m * 2**-24)


def forward_errors(linears, X):
    """Return every layer's (h, e_h) and activity, and the logits' (z, e_z)."""
    h, e, steps = X, torch.zeros_like(X), []
    for layer in linears:
        W, b = layer.weight.abs(), layer.bias.abs()
        z = layer(h)
        e_z = e @ W.T + g(W.shape[1] + 1) * ((h.abs() + e) @ W.T + b)
        steps.append((h, e, z > 0))
        if layer is not linears[-1]:
            assert (z.abs() > e_z).all(), "a unit may cross its kink"
        h, e = torch.relu(z), torch.where(z > 0, e_z, 0.0)
    return steps, z, e_z


def softmax_curvature_errors(z, e_z):
    """Return |S| and its error for the mean of the cross-entropies."""
    N, C = z.shape
    p = z.softmax(1)
    e = p * (torch.exp(2 * e_z.amax(1, keepdim=True)) * (1 + g(C + 8)) - 1)
    outer = p[:, :, None] * p[:, None, :]
    S = (torch.diag_embed(p) - outer).abs()
    e_S = torch.diag_embed(e) + (p + e)[:, :, None] * (p + e)[:, None, :] - outer
    e_S = e_S + g(C + 8) * (torch.diag_embed(p + e) + outer + e_S)
    return S / N, e_S / N


def bounds(linears, X):
    """Bound the error of every layer's float32 scores, from the last to the first."""
    steps, z, e_z = forward_errors(linears, X)
    S, e_S = softmax_curvature_errors(z, e_z)
    N, C = z.shape
    A = torch.eye(C, dtype=X.dtype).expand(N, C, C)
    e_A = torch.zeros_like(A)
    found = []
    for i in reversed(range(len(linears))):
        W, (h, e_h, _) = linears[i].weight, steps[i]
        m = N + W.numel() + 2 * C + 8
        exact = nothing_cancels(A.abs(), S, h.abs())
        inflated = nothing_cancels(A.abs() + e_A, S + e_S, h.abs() + e_h)
        found.append((1 + g(m)) * inflated - exact)
        if i:
            active = steps[i - 1][2][:, None, :]
            total = (A.abs() + e_A) @ W.abs()
            e_A = (e_A @ W.abs() + g(W.shape[0] + 1) * total) * active
            A = (A @ W) * active
    return found


def nothing_cancels(A, S, h):
    """Return T_ij = sum_nkl (A_n' S_n A_n)_ik h_nj h_nl."""
    r = torch.einsum("nci,ncd,nd->ni", A, S, A.sum(2))
    return torch.einsum("ni,nj,n->ij", r, h, h.sum(1))


def make(sizes, scale, seed):
    """Make a ReLU network with float32 numbers, in float64, and samples."""
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for fan_in, fan_out in pairwise(sizes):
        parts += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    net = nn.Sequential(*parts[:-1])
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(
                std=scale / parameter.shape[-1] ** 0.5, generator=generator
            )
    X = torch.rand(40, sizes[0], generator=generator)
    y = torch.randint(0, sizes[-1], (40,), generator=generator)
    return net.double(), X.double(), y


@pytest.mark.parametrize("curvature", ["mean_loss", "per_sample"])
@pytest.mark.parametrize("scale", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("seed", range(3))
def test_float32_scores_stay_inside_the_derived_bound(scale, seed, curvature):
    net, X, y = make((20, 16, 12, 4), scale, seed)
    options = {"n": 3, "aggregation": "sum", "curvature": curvature}
    expected = hessian_scores(net, F.cross_entropy, X, y, **options)
    with torch.no_grad():
        limits = bounds([net[0], net[2], net[4]], X)
    scores = hessian_scores(net.float(), F.cross_entropy, X.float(), y, **options)
    for name, limit in zip(("4", "2", "0"), limits, strict=True):
        assert scores[name].dtype == torch.float32
        assert ((scores[name].double() - expected[name]).abs() <= limit).all()


@pytest.mark.parametrize("curvature", ["mean_loss", "per_sample"])
@pytest.mark.parametrize("gap", [0.0, 10.0, 40.0, 80.0])
@pytest.mark.parametrize("C", [2, 10, 1000])
def test_output_layer_is_as_accurate_as_its_probabilities(C, gap, curvature):
    """Every score, however small, has the relative error of products of p.

    p is wrong by a factor of exp(2 e) (1 + g(C + 8)) for an error e of z, of which the
    difference to the largest z is a part; a score has it from p_n[i], from the sum of
    the others, and from w_n, a quotient of two products of the two.
    """
    (net, X, y), N = make((20, C), 0.5, 0), 40
    layer = net[0]
    with torch.no_grad():
        layer.bias[0] += gap
        _, z, e_z = forward_errors([layer], X)
        p, top = z.softmax(1), z.argmax(1, keepdim=True)
        others = p.scatter(1, top, 0).sum(1, keepdim=True)
        r = 2 / N * p * (1 - p).scatter(1, top, others)
        expected = r.T @ (X * X.sum(1, keepdim=True))
        e = (e_z + 2**-24 * (z.amax(1, keepdim=True) - z)).max()
        factor = torch.exp(2 * e) * (1 + g(C + 8))
        limit = factor**6 * (1 + g(N + 20 + 8)) - 1
    S = hessian_scores(
        *(net.float(), F.cross_entropy, X.float(), y),
        aggregation="sum",
        curvature=curvature,
    )["0"].double()
    assert ((S - expected).abs() <= limit * expected).all()
