"""The state of a net holds what no state_dict tells: frozen weights, hidden buffers."""

import copy

import pytest
import torch
from skorch import NeuralNet
from torch import nn

from sklearn_hessreg._state._net_state import PickledRows, capture_net, restore_net


class Counting(nn.Linear):
    """Keep a buffer that is not in the state_dict."""

    def __init__(self):
        super().__init__(2, 1)
        self.register_buffer("seen", torch.zeros(1), persistent=False)


class OwnStep(NeuralNet):
    """A net whose step may go on adding to gradients."""

    def train_step(self, batch, **fit_params):
        return super().train_step(batch, **fit_params)


@pytest.fixture
def moved():
    """Return a function that brings a new net of a class to the state of another."""

    def move(change, kind=NeuralNet):
        with torch.random.fork_rng():
            one, two = (kind(Counting, nn.MSELoss).initialize() for _ in range(2))
        change(one.module_)
        state = capture_net(one, PickledRows(), None, {})
        restore_net(two, copy.deepcopy(state), None)
        return two.module_

    return move


def test_a_frozen_weight_stays_frozen(moved):
    module = moved(lambda module: module.bias.requires_grad_(False))
    assert [p.requires_grad for p in module.parameters()] == [True, False]


def test_a_buffer_outside_the_state_dict_is_kept(moved):
    assert moved(lambda module: module.seen.fill_(7)).seen.item() == 7


def add_gradient(module):
    module.weight.grad = torch.full((1, 2), 3.0)


def test_gradients_that_a_nets_own_step_may_add_to_are_kept(moved):
    assert moved(add_gradient, OwnStep).weight.grad.tolist() == [[3.0, 3.0]]


def test_gradients_that_the_next_step_drops_are_not_kept(moved):
    assert moved(add_gradient).weight.grad is None
