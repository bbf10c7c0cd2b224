"""Sums over pairs of units: tiles, gathered rows, pairs that count once."""

import pytest
import torch
from perceptrons import make_net
from reference import (
    assert_equal_scores,
    assert_equal_to_reference,
    reference_scores,
)
from torch import nn
from torch.nn import functional as F

from sklearn_hessreg import hessian_scores
from sklearn_hessreg._hessian import _streamed


@pytest.mark.parametrize("memory", [1e-6, 2e-4, 1e-3, 1e4])
@pytest.mark.parametrize("tile", [1, 40, 10**9])
@pytest.mark.parametrize("curvature", ["mean_loss", "per_sample"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_scores_do_not_depend_on_memory_and_tiles(
    activation, curvature, tile, memory, monkeypatch
):
    net, X, y = make_net(activation, (4, 6, 5, 3))
    options = {"n": 3, "curvature": curvature}
    expected = hessian_scores(net, F.cross_entropy, X, y, **options)
    monkeypatch.setattr(_streamed, "CACHE_ELEMENTS", tile)
    options["working_memory"] = memory
    assert_equal_scores(hessian_scores(net, F.cross_entropy, X, y, **options), expected)


@pytest.mark.parametrize("dense", [0.0, 2.0])
def test_scores_do_not_depend_on_whether_active_rows_are_gathered(dense, monkeypatch):
    net, X, y = make_net("relu", (4, 6, 5, 3))
    expected = hessian_scores(net, F.cross_entropy, X, y, n=3)
    monkeypatch.setattr(_streamed, "_DENSE", dense)
    assert_equal_scores(hessian_scores(net, F.cross_entropy, X, y, n=3), expected)


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
