"""Score named layers: check that it is possible, run the passes, apply the formulas."""

import math
from collections.abc import Iterable
from contextlib import contextmanager
from numbers import Real
from typing import get_args

import torch
from torch.utils.checkpoint import CheckpointError

from sklearn_hessreg._hessian._chunks import Part, split_samples
from sklearn_hessreg._hessian._forward_record import trace
from sklearn_hessreg._hessian._group import WHOLE
from sklearn_hessreg._hessian._layers import (
    check_executed,
    check_order,
    weight_layers,
)
from sklearn_hessreg._hessian._loss import LossByOutputs
from sklearn_hessreg._hessian._probes import check_graph, gradients, reaches
from sklearn_hessreg._hessian._select_formula import Problem, score_layer
from sklearn_hessreg._hessian._streamed import count_operations
from sklearn_hessreg._hessian._twice_differentiable import (
    TwiceDifferentiable,
    differentiable_evaluation,
)
from sklearn_hessreg._torch_context import threads_for
from sklearn_hessreg._typing import Aggregation, Curvature

WORKING_MEMORY = 512  # MiB


class LayerScores(dict[str, torch.Tensor]):
    """Scores by the names of the layers; `formulas` says how each was computed."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__(dict.fromkeys(names, torch.zeros(())))
        self.formulas: dict[str, str] = {}


def score_layers(
    module,
    loss,
    inputs,
    targets,
    names,
    candidates=None,
    aggregation="mean",
    curvature="mean_loss",
    working_memory=WORKING_MEMORY,
    must_run=False,
    share=WHOLE,
):
    """Score the named layers; those that ran must be the last of `candidates` to run.

    A layer that did not run scores zero; with `must_run`, at least one must run. For a
    `share` of the work, return that share of the scores.
    """
    _check_option("aggregation", aggregation, get_args(Aggregation))
    _check_option("curvature", curvature, get_args(Curvature))
    _check_working_memory(working_memory)
    loss = _of_outputs(loss, targets)

    numbers = _numbers(module, working_memory)

    def score(**options):
        passes = _Passes(module, names, candidates, **options)
        whole = [Part(inputs, loss)]
        if curvature == "mean_loss":
            return passes.score(whole, curvature, numbers, must_run, share)
        run = passes.trace
        parts = split_samples(run, inputs, loss, numbers // 2, share.size)
        scores = passes.score(parts, curvature, numbers, must_run, share)
        # a loss that uses more of the network than its outputs cannot be split
        return scores or passes.score(whole, curvature, numbers, must_run, share)

    work = count_largest_product(module, inputs, names, curvature)
    with threads_for(work), differentiable_evaluation(module, inputs):
        scores = _with_checkpoints(score)
    if aggregation == "mean":
        for name, S in scores.items():
            scores[name] = S / S.numel()
    return scores


def check_layers(module, loss, inputs, targets, names, candidates):
    """Raise if scoring is impossible, at the cost of one second derivative."""
    loss = _of_outputs(loss, targets)

    def differentiate(**options):
        passes = _Passes(module, names, candidates, **options)
        forward, head = passes.evaluate(Part(inputs, loss))
        check_executed(names, list(forward.calls))
        J = Problem(module, forward, loss, head, "mean_loss", 0).J
        with _second_derivatives():
            weights = passes.weights(forward)
            G = gradients(J, weights, create_graph=True)
            gradients(sum(g.square().sum() for g in G), weights)

    with differentiable_evaluation(module, inputs):
        _with_checkpoints(differentiate)


def _with_checkpoints(compute):
    """Call `compute`, and once more if torch.utils.checkpoint recomputes differently.

    A checkpointed part is recomputed with the module's own parameters. So the first
    time it needs as many gradients, which takes memory.
    """
    try:
        try:
            return compute()
        except CheckpointError:
            return compute(all_gradients=True)
    except CheckpointError as error:
        raise ValueError(
            "torch.utils.checkpoint recomputed something else than the forward pass: "
            f"{error} Score the module without checkpoints."
        ) from error


@contextmanager
def _second_derivatives():
    """Say what to do if torch has no second derivative."""
    try:
        yield
    except NotImplementedError as error:
        raise ValueError(
            f"The module or the loss cannot be differentiated twice: {error} Compute "
            "it from other operations of torch, as EmbeddingBag from Embedding."
        ) from error


def _of_outputs(loss, targets):
    """Make the loss a twice differentiable function of the outputs alone."""

    def loss_of(outputs):
        with TwiceDifferentiable():
            return loss(outputs, targets)

    return loss_of


class _Passes:
    """Passes of samples through the network, and the scores of its named layers.

    With `all_gradients`, parameters that have a gradient in the module keep it.
    """

    def __init__(self, module, names, candidates, all_gradients=False):
        self.module = module
        self.names = names
        self.candidates = candidates
        self.all_gradients = all_gradients
        self.watched = weight_layers(module)

    def trace(self, inputs):
        """Run the network on inputs."""
        options = (self.names, self.watched, self.all_gradients)
        return trace(self.module, inputs, *options)

    def weights(self, forward):
        """List the named layers' weights in a pass."""
        return [forward.state[forward.keys[name]] for name in self.names]

    def evaluate(self, part):
        """Run the network on samples; return the trace and the checked loss."""
        forward = self.trace(part.inputs)
        check_order(self.names, list(forward.calls), self.candidates)
        with _second_derivatives():
            head = LossByOutputs(part.loss, forward.outputs)
        if any(name in forward.calls for name in self.names):
            _check_differentiable(head.J)
            check_graph(forward.outputs, head.J, forward.own)
        return forward, head

    def score(self, parts, curvature, numbers, must_run, share):
        """Add up the parts' scores; None if the loss uses more than their outputs.

        Processes share several parts between them, or the work on each layer of one.
        """
        total, executed = LayerScores(self.names), {}
        options = (curvature, numbers, WHOLE if len(parts) > 1 else share)
        for part in parts[share.of("parts")] if len(parts) > 1 else parts:
            forward, head = self.evaluate(part)
            executed |= forward.calls
            share.note_loss(head.J)
            if len(parts) > 1 and reaches([head.J], self.weights(forward)):
                return None
            problem = Problem(self.module, forward, part.loss, head, *options)
            with _second_derivatives():
                for name in self.names:
                    S, total.formulas[name] = score_layer(problem, name)
                    total[name] = total[name] + S
        if must_run:
            check_executed(self.names, list(executed))
        return total


def _numbers(module, working_memory):
    """Return how many numbers like the module's parameters fit in `working_memory`."""
    size = next(module.parameters()).element_size()
    return int(min(float(working_memory), 2.0**40) * 2**20 / size)


def _check_option(name, value, allowed):
    """Reject a value that is not one of the allowed strings."""
    if value not in allowed:
        raise ValueError(f"{name}={value!r} is unknown; use one of {list(allowed)}.")


def _check_differentiable(J):
    """Reject a loss that is not a function of the outputs."""
    if not J.requires_grad:
        raise ValueError(
            f"loss(outputs, targets) returned {J.item()} without a gradient. Compute "
            "it from the outputs by torch functions, without detach."
        )


def _check_working_memory(working_memory):
    """Reject a memory limit that is not a positive number of MiB."""
    if not isinstance(working_memory, Real) or not working_memory > 0:
        raise ValueError(
            f"working_memory={working_memory!r} must be a positive number of MiB."
        )


def count_largest_product(module, inputs, names, curvature):
    """Count the operations of the largest product; inf unless linear layers on rows.

    The last of the named layers counts as one whose formula factorises. In the others,
    each unit's part of the streamed Hessian is one product.
    """
    weights = [p for p in module.parameters() if p.ndim > 1]
    rows = isinstance(inputs, torch.Tensor) and inputs.ndim == 2
    if not (rows and inputs.is_floating_point() and weights):
        return math.inf
    if any(W.ndim > 2 for W in weights):
        return math.inf
    largest = max(2 * len(inputs) * W.numel() for W in weights)
    if curvature == "per_sample":
        return largest
    shapes = [module.get_submodule(name).weight.shape for name in names[:-1]]
    streamed = (count_operations(len(inputs), *shape) / shape[0] for shape in shapes)
    return max(largest, *streamed, 0)
