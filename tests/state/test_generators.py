"""The generators that a net draws from are set back, wherever it holds them."""

import random

import numpy as np
import pytest
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import nn

from sklearn_hessreg._state._generators import (
    capture_generators,
    restore_generators,
)

KINDS = {
    "torch": (
        lambda: torch.Generator().manual_seed(0),
        lambda g: torch.rand(1, generator=g).item(),
    ),
    "numpy": (lambda: np.random.default_rng(0), lambda g: g.random()),
    "RandomState": (lambda: np.random.RandomState(0), lambda g: g.random_sample()),
}


class Noise(nn.Linear):
    def __init__(self, generator=None):
        super().__init__(2, 1)
        self.generator = generator


class Draws(Callback):
    def __init__(self, generator):
        self.generator = generator


def in_a_parameter(generator):
    return {"iterator_train__generator": generator}


def in_a_module(generator):
    return {"module__generator": generator}


def in_a_callback(generator):
    return {"callbacks": [Draws(generator)]}


@pytest.fixture
def make_net():
    """Make nets; their draws leave the global generators as they were."""
    with torch.random.fork_rng():
        yield lambda **options: NeuralNet(Noise, nn.MSELoss, **options).initialize()


@pytest.mark.parametrize("place", [in_a_parameter, in_a_module, in_a_callback])
@pytest.mark.parametrize("kind", KINDS)
def test_a_generator_of_the_net_is_set_back(kind, place, make_net):
    make, draw = KINDS[kind]
    generator = make()
    net = make_net(**place(generator))
    states = capture_generators(net)
    first = draw(generator)
    restore_generators(net, states)
    assert draw(generator) == first


@pytest.mark.parametrize(
    "draw",
    [torch.rand, lambda n: np.random.random(n), lambda n: random.random()],  # noqa: NPY002
    ids=["torch", "numpy", "python"],
)
def test_a_global_generator_is_set_back(draw, make_net):
    net = make_net()
    before = capture_generators(net)
    first = draw(1)
    restore_generators(net, before)
    assert draw(1) == first
    restore_generators(net, before)
