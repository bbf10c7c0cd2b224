"""Importances other than the Hessian: magnitude, random, a user's function."""

import torch

from sklearn_hessreg._hessian import TwiceDifferentiable, differentiable_evaluation


def magnitudes(layers):
    """Score weights by their absolute values."""
    return {name: layer.weight.detach().abs() for name, layer in layers.items()}


def random_scores(layers, generator):
    """Score weights by uniform numbers."""
    options = {"generator": generator, "device": "cpu", "dtype": torch.float32}
    return {
        name: torch.rand(layer.weight.shape, **options)
        for name, layer in layers.items()
    }


def call_importance(module, *, names, loss, inputs, targets, importance, generator):
    """Score weights by a user's function, under the conditions for Hessians."""
    with differentiable_evaluation(module, inputs), TwiceDifferentiable():
        scores = importance(
            module,
            list(names),
            loss=loss,
            inputs=inputs,
            targets=targets,
            generator=generator,
        )
    if not isinstance(scores, dict) or (missing := set(names).difference(scores)):
        got = f"a {type(scores).__name__}"
        if isinstance(scores, dict):
            got = f"no scores of {sorted(missing)}"
        raise ValueError(
            f"importance={importance!r} returned {got}. Return a dict with one "
            f"tensor of scores for each of the names {names}."
        )
    return {name: _checked(importance, module, name, scores[name]) for name in names}


def _checked(importance, module, name, S):
    """Check a layer's scores, and return them detached on the weight's device."""
    weight = module.get_submodule(name).weight
    real = isinstance(S, torch.Tensor) and not S.is_complex()
    if not real or S.shape != weight.shape:
        kind = f"{S.dtype}, {tuple(S.shape)}" if isinstance(S, torch.Tensor) else S
        raise ValueError(
            f"importance={importance!r} returned for layer {name!r} {kind!s:.100}, but "
            f"the weight has the shape {tuple(weight.shape)}. Return a real tensor of "
            "that shape: one score for each weight."
        )
    return S.detach().to(weight.device)
