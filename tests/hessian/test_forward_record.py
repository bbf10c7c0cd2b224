"""What a module and a loss are given, and what they may do with it."""

import pytest
import torch
from networks import NETWORKS, prepare, weighted
from torch import nn
from torch.nn import functional as F

from sklearn_hessreg import hessian_scores


def test_loss_may_change_its_arguments_in_place():
    net, X, y = prepare(NETWORKS["batch norm, dropout"])
    expected = hessian_scores(net, lambda z, t: weighted(2 * z, t), X, y, n=2)
    scores = hessian_scores(net, lambda z, t: weighted(z.mul_(2), t), X, y, n=2)
    assert all(torch.equal(scores[name], S) for name, S in expected.items())


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
