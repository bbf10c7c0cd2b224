"""Split samples into parts whose forward pass fits in memory, for per-sample scores.

A per-sample score is a sum over samples, so the scores of the parts add up. The loss of
a part is the loss of all outputs, with those of the other samples held constant.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from sklearn_hessreg._hessian._forward_record import count_samples
from sklearn_hessreg._hessian._loss import LossByOutputs
from sklearn_hessreg._hessian._probes import refuse_interaction

# Samples in a trial pass that measures how many numbers each sample holds.
TRIED = 4


@dataclass
class Part:
    """Some of the samples: their inputs, and the loss as a function of the outputs."""

    inputs: object
    loss: Callable


class _IndivisibleError(Exception):
    """A sample's outputs depend on the other samples in the pass, or are unknown."""


def split_samples(run, inputs, loss, numbers, least=1):
    """Split the samples into parts whose passes each hold up to `numbers` numbers.

    `run` makes a forward pass. There are at least `least` parts, but only one if the
    samples cannot be split or are fewer than that.
    """
    samples = count_samples(inputs)
    try:
        few = run(_take(inputs, slice(TRIED), samples))
        step = max(1, numbers * min(TRIED, samples) // max(1, few.numbers))
        step = min(step, samples // least)
        if not 0 < step < samples:
            return [Part(inputs, loss)]
        slices = [slice(n, n + step) for n in range(0, samples, step)]
        with torch.no_grad():
            outputs = _join(run, inputs, samples, slices)
            _check_apart(run, inputs, samples, max(2, step), outputs)
    except (_IndivisibleError, RuntimeError, ValueError, TypeError, IndexError):
        return [Part(inputs, loss)]
    if _coupled(loss, outputs):
        refuse_interaction()
    return [
        Part(_take(inputs, rows, samples), _loss_of_part(loss, outputs, rows))
        for rows in slices
    ]


def _take(inputs, rows, samples):
    """Take rows of every input that has one row per sample."""

    def of_samples(x):
        return isinstance(x, torch.Tensor) and x.ndim and len(x) == samples

    return tree_map(lambda x: x[rows] if of_samples(x) else x, inputs)


def _join(run, inputs, samples, slices):
    """Return the outputs of all samples, computed part by part."""
    found = []
    for rows in slices:
        part = _take(inputs, rows, samples)
        leaves, form = tree_flatten(run(part).outputs)
        found.append([_checked(y, len(range(samples)[rows])) for y in leaves])
    joined = [
        torch.cat(ys) if isinstance(ys[0], torch.Tensor) else ys[0]
        for ys in zip(*found, strict=True)
    ]
    return tree_unflatten(joined, form)


def _checked(y, count):
    """Return an output if it has one row per sample or is a plain value; else raise."""
    rows = isinstance(y, torch.Tensor) and y.ndim > 0 and len(y) == count
    if not (rows or y is None or isinstance(y, bool | int | float | str)):
        raise _IndivisibleError
    return y


def _check_apart(run, inputs, samples, count, outputs):
    """Check that some samples' outputs do not depend on the samples beside them."""
    generator = torch.Generator("cpu").manual_seed(0)
    rows = torch.randperm(samples, generator=generator, device="cpu")[:count]
    again, _ = tree_flatten(run(_take(inputs, rows, samples)).outputs)
    for y, whole in zip(again, tree_flatten(outputs)[0], strict=True):
        if not isinstance(y, torch.Tensor) or not y.is_floating_point():
            continue
        expected = whole[rows]
        allowed = torch.finfo(y.dtype).eps ** 0.5 * expected.abs().max()
        # not <=: NaN passes, and is left to whoever uses the scores
        if (y - expected).abs().max() > allowed:
            raise _IndivisibleError


def _coupled(loss, outputs):
    """Return whether the loss couples any two samples."""
    copies = tree_map(
        lambda y: y.detach().requires_grad_() if _is_real(y) else y, outputs
    )
    return LossByOutputs(loss, copies).samples_interact()


def _is_real(y):
    """Return whether y is a tensor that can have a gradient."""
    return isinstance(y, torch.Tensor) and y.is_floating_point()


def _loss_of_part(loss, outputs, rows):
    """Make the loss a function of some rows' outputs, with the other rows fixed."""

    def put(y, whole):
        if not isinstance(y, torch.Tensor):
            return y
        return torch.cat([whole[: rows.start], y, whole[rows.start + len(y) :]])

    return lambda part: loss(tree_map(put, part, outputs))
