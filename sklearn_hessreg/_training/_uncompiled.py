"""Optimizers that are made, saved and loaded without torch's compiler.

torch keeps its compiler out of these methods, and imports it to do so. In every new
process, be it a search's worker or one that only predicts, that takes a second.
"""

from inspect import unwrap

import torch
from torch.optim import Optimizer


class Uncompiled:
    """An optimizer whose methods are torch's own, without what is put around them."""

    add_param_group = unwrap(Optimizer.add_param_group)
    state_dict = unwrap(Optimizer.state_dict)
    load_state_dict = unwrap(Optimizer.load_state_dict)


class SGD(Uncompiled, torch.optim.SGD):
    """torch's SGD, whose steps do need the compiler."""
