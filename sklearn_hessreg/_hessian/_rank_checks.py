"""Describe and compare what processes that score together must have in common."""

import hashlib

import numpy as np
import torch
from torch.utils._pytree import tree_leaves

ADVICE = {
    "arguments": "Give all ranks the same ones.",
    "parameters": (
        "Let all ranks begin with the same weights and average their gradients, as "
        "torch.nn.parallel.DistributedDataParallel does, or broadcast the weights from "
        "one rank before."
    ),
    "buffers": "Broadcast them from one rank before, with torch.distributed.broadcast.",
    "samples": (
        "Not the samples are shared out but the units of the layers, so every rank "
        "needs all samples: gather them before. HessianReinit(rows='sharded') does it "
        "where each rank holds rows of its own."
    ),
}


def describe_arguments(arguments):
    """Describe arguments by name."""
    return {"arguments": {name: repr(value) for name, value in arguments.items()}}


def describe_module(module, buffers=True):
    """Describe a module's weights and buffers; only buffer shapes if not `buffers`."""
    kept = module.named_buffers()
    return {
        "parameters": {name: _print(p) for name, p in module.named_parameters()},
        "buffers": {name: _print(b, values=buffers) for name, b in kept},
    }


def describe_samples(*samples):
    """Describe inputs and targets."""
    leaves = enumerate(tree_leaves(samples))
    return {"samples": {f"tensor {i}": _print(x) for i, x in leaves}}


def _print(x, values=True):
    """Return the texts that must match: a tensor's form, and a digest of its values."""
    if isinstance(x, np.ndarray) and x.dtype.kind in "biufc":
        x = torch.from_numpy(np.array(x))
    if isinstance(x, torch.Tensor):
        form = f"{tuple(x.shape)} of {x.dtype}"
        return form, digest(x) if values else ""
    simple = isinstance(x, bool | int | float | complex | str | None)
    return repr(x) if simple else type(x).__name__, ""


def check_alike(descriptions):
    """Reject descriptions that differ from the first, and say what to do."""
    for rank, other in enumerate(descriptions):
        for section, first in descriptions[0].items():
            if other[section] == first:
                continue
            names = [*first, *(name for name in other[section] if name not in first)]
            differing = [
                _difference(name, first.get(name), other[section].get(name), rank)
                for name in names
                if first.get(name) != other[section].get(name)
            ]
            if len(differing) > 3:
                differing[3:] = [f"and {len(differing) - 3} more"]
            raise ValueError(
                f"The ranks have different {section}: {'; '.join(differing)}. "
                f"{ADVICE[section]}"
            )


def _difference(name, first, other, rank):
    """Describe how an item differs between the first rank and another."""
    forms = [x[0] if isinstance(x, tuple) else x for x in (first, other)]
    forms = ["missing" if form is None else form for form in forms]
    if forms[0] == forms[1]:
        return f"{name} has other values on rank {rank} than on rank 0"
    return f"{name} is {forms[0]} on rank 0, {forms[1]} on rank {rank}"


def check_sharing(notes):
    """Reject shares that do not add up, given the rules and losses of all ranks."""
    rules, losses = notes[0]
    for rank, (others_rules, others_losses) in enumerate(notes):
        for (J, rounding), (other, _) in zip(losses, others_losses, strict=False):
            if abs(J - other) > rounding * max(abs(J), abs(other)):
                raise ValueError(
                    f"loss(outputs, targets) is {J} on rank 0 and {other} on rank "
                    f"{rank}, for the same samples. Give all ranks the same loss, with "
                    "the same weights in it."
                )
        if others_rules != rules:
            raise RuntimeError(
                f"Rank {rank} would share out the work otherwise than rank 0, because "
                "it rounds otherwise, so the scores would be wrong. Use machines and "
                "threads of one kind, or score on one rank and broadcast "
                "the scores."
            )


def digest(x):
    """Return a short hash of a tensor's bits."""
    dense = x.detach() if x.layout == torch.strided else x.detach().to_dense()
    dense = dense.cpu().resolve_conj().resolve_neg().contiguous()
    data = dense.reshape(-1).view(torch.uint8).numpy()  # numpy lacks some of the types
    return hashlib.blake2b(data, digest_size=16).hexdigest()
