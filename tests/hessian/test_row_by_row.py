"""Samples that interact, and networks that are called one sample at a time."""

import itertools

import pytest
import torch
from networks import N, Squeezed, Standardise, prepare, weighted
from reference import (
    assert_all_layers_equal_the_reference,
    assert_equal_to_reference,
    reference_scores,
)
from torch import nn
from torch.nn import functional as F

from sklearn_hessreg import hessian_scores
from sklearn_hessreg._hessian import weight_layers


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


def test_per_sample_refuses_a_single_pair_of_interacting_samples():
    net, X, y = prepare(lambda: nn.Sequential(nn.Linear(4, 3)))
    for i, j in itertools.combinations(range(N), 2):

        def loss(z, t, i=i, j=j):
            return weighted(z, t) + (z[i] * z[j]).sum()

        with pytest.raises(ValueError, match="samples interact"):
            hessian_scores(net, loss, X, y, curvature="per_sample")


def test_per_sample_refuses_a_network_that_cannot_be_called_sample_by_sample():
    X, y = torch.ones(3, 4, dtype=torch.float64), torch.zeros(3).long()
    net = nn.Sequential(Squeezed(), nn.Tanh())
    with pytest.raises(ValueError, match=r"sample by sample.*'mean_loss'"):
        hessian_scores(net.double(), lambda z, y: z.sum(), X, y, curvature="per_sample")


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
