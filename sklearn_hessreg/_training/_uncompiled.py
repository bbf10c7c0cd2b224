"""Optimizers that are created, saved and loaded without torch's compiler.

torch wraps these methods to keep its compiler out of them, and imports the compiler to
do so. That takes a second in every new process, even one that only predicts or is a
search's worker.
"""

from inspect import unwrap

import torch
from torch.optim import Optimizer


class Uncompiled:
    """Mixin that gives an optimizer torch's own methods without their wrappers."""

    add_param_group = unwrap(Optimizer.add_param_group)
    state_dict = unwrap(Optimizer.state_dict)
    load_state_dict = unwrap(Optimizer.load_state_dict)


class SGD(Uncompiled, torch.optim.SGD):
    """torch's SGD; only its steps need the compiler."""
