"""What a checkpoint is recognised by: equal values read alike, others do not."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix
from skorch.dataset import Dataset
from torch import nn
from torch.utils.data import Subset, TensorDataset

from sklearn_hessreg._state._description import describe

ROWS = torch.arange(6.0).reshape(3, 2)


class Scaler:
    def __init__(self, factor):
        self.factor = factor


class Rows(torch.utils.data.Dataset):
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n


def scaled(factor):
    return factor * ROWS


# functions that make a value, equal to itself each time, from what tells it apart
KINDS = {
    "number": lambda x: x,
    "number of numpy": np.float32,
    "text": str,
    "list": lambda x: [1, x],
    "set": lambda x: {x, "a"},
    "dict": lambda x: {"a": {"b": x}},
    "object": Scaler,
    "partial": lambda x: partial(torch.optim.SGD, lr=x),
    "module": lambda x: nn.Linear(2, x),
    "generator of torch": lambda x: torch.Generator().manual_seed(x),
    "generator of numpy": np.random.default_rng,
    "random state": np.random.RandomState,
    "array": lambda x: scaled(x).numpy(),
    "array of objects": lambda x: np.array([x, "a"], dtype=object),
    "tensor": scaled,
    "tensor of bfloat16": lambda x: scaled(x).to(torch.bfloat16),
    "sparse tensor": lambda x: scaled(x).to_sparse(),
    "sparse matrix": lambda x: csr_matrix(scaled(x).numpy()),
    "frame": lambda x: pd.DataFrame(scaled(x).numpy()),
    "skorch's data set": lambda x: Dataset(scaled(x).numpy(), None),
    "data set of tensors": lambda x: TensorDataset(ROWS, scaled(x)),
    "subset": lambda x: Subset(TensorDataset(ROWS), [0, x]),
    "data set of its own": Rows,
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_equal_values_read_alike(make):
    assert describe(make(1)) == describe(make(1))


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_other_values_read_otherwise(make):
    assert describe(make(1)) != describe(make(2))


def test_classes_and_functions_are_told_by_their_names():
    assert describe(torch.optim.SGD) == "torch.optim.sgd.SGD"
    assert describe(scaled) == f"{__name__}.scaled"


def test_weights_that_wait_for_data_can_be_described():
    assert "not known yet" in describe(nn.LazyLinear(2).weight)


def test_values_that_hold_each_other_come_to_an_end():
    one, two = Scaler(1), Scaler(2)
    one.factor, two.factor = two, one
    assert describe(one) == describe(one)


def test_no_address_is_part_of_it():
    assert describe(object()) == "object"
