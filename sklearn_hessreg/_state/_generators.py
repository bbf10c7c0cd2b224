"""The random generators that a net's training draws from: capture and restore."""

import random

import numpy as np
import torch
from sklearn.utils import check_random_state

GENERATORS = (torch.Generator, np.random.RandomState, np.random.Generator)


def capture_generators(net):
    """Return the states of the net's own generators and of the global ones."""
    on_gpu = torch.cuda.is_available() and torch.cuda.is_initialized()
    return {
        **capture_own_generators(net),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if on_gpu else [],
        "numpy": _state_of(check_random_state(None)),
        "python": random.getstate(),
    }


def capture_own_generators(net):
    """Return the states of the net's own generators alone."""
    return {"own": {place: _state_of(one) for place, one in _own_generators(net)}}


def restore_generators(net, states):
    """Restore the captured states."""
    for place, generator in _own_generators(net):
        if place in states["own"]:
            _set_state(generator, states["own"][place])
    if "torch" in states:
        torch.set_rng_state(states["torch"])
        torch.cuda.set_rng_state_all(states["cuda"])
        check_random_state(None).set_state(states["numpy"])
        random.setstate(states["python"])


def _own_generators(net):
    """List generators among the net's parameters, or held by them or its modules."""
    owners = {**net.get_params(deep=False), **dict(net.callbacks_)}
    for name in (*net._modules, *net._criteria):
        module = getattr(net, f"{name}_")
        if isinstance(module, torch.nn.Module):
            parts = module.named_modules()
            owners |= {f"{name}_.{place}": part for place, part in parts}
    for place, owner in owners.items():
        for name, value in {"": owner, **getattr(owner, "__dict__", {})}.items():
            if isinstance(value, GENERATORS):
                yield f"{place}.{name}", value


def _state_of(generator):
    """Return a generator's state."""
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    if isinstance(generator, np.random.RandomState):
        return generator.get_state(legacy=False)
    return generator.get_state()


def _set_state(generator, state):
    """Restore a generator's state."""
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    else:
        generator.set_state(state)
