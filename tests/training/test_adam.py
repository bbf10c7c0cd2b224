"""Adam with torch's private kernel, and without it."""

import copy

import numpy as np
import pytest
import torch
from training_cases import DATA, make_spec

from sklearn_hessreg._training import train
from sklearn_hessreg._training._adam import Adam


@pytest.mark.parametrize("max_iter", [1, 12])
def test_without_the_private_kernel_torchs_public_step_gives_the_same_weights(
    max_iter, monkeypatch
):
    spec = make_spec(max_iter=max_iter, alpha=0.1)
    with_kernel, without = [], []
    for weights, kernel in ((with_kernel, True), (without, False)):
        if not kernel:
            monkeypatch.setattr("sklearn_hessreg._training._adam.FUSED", None)
        net = train(spec, DATA, None, np.random.RandomState(0))
        weights += [p.detach() for p in net.module_.parameters()]
    for one, two in zip(with_kernel, without, strict=True):
        assert torch.equal(one, two)


def make_adam(*parameters):
    options = {"lr": 0.1, "betas": (0.9, 0.99), "eps": 1e-8, "fused": True}
    return Adam(parameters, **options)


def steps_of(optimizer):
    return [state["step"].item() for state in optimizer.state.values()]


def test_steps_of_parameters_that_were_frozen_for_a_while_are_counted_apart():
    W, b = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    optimizer = make_adam(W, b)
    for both in (True, False, False, True):
        W.grad, b.grad = torch.ones(2), torch.ones(2) if both else None
        optimizer.step()
    assert steps_of(optimizer) == [4, 2]


def test_steps_of_a_loaded_state_are_counted_on():
    W = torch.nn.Parameter(torch.ones(2))
    W.grad = torch.ones(2)
    optimizer, other = make_adam(W), make_adam(W)
    optimizer.step()
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    other.step()
    assert (steps_of(optimizer), steps_of(other)) == ([1], [2])
