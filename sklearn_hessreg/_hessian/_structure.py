"""Tests on the numbers at hand of the structure that the formulas rely on.

Each differentiates once or twice in a random direction: what a structure makes zero is
zero to the bit, and what it does not is nonzero for almost every direction.
"""

import torch
from torch.utils._pytree import tree_leaves


def gradients(y, xs, **options):
    """Differentiate y by each x, keeping the graph; zeros where there is none."""
    if not y.requires_grad:
        return [torch.zeros_like(x) for x in xs]
    return torch.autograd.grad(
        y, xs, retain_graph=True, materialize_grads=True, **options
    )


def random_like(x, generator):
    """Draw standard normal numbers like x."""
    return torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)


def groups_interact(J, xs, count):
    """Tell whether second derivatives of J couple any of the `count` groups of rows.

    A random half of the groups is displaced; the gradient of the other half must not
    move. Coupling between m separate pairs of groups is missed with probability 2^-m.
    """
    half, generator = _random_half(count)
    G = gradients(J, xs, create_graph=True)
    product = 0
    for g, x in zip(G, xs, strict=True):
        u = random_like(x, generator).view(count, -1)
        product = product + (g * (u * half[:, None].to(u)).view_as(g)).sum()
    return _any_moved(gradients(product, xs), ~half)


def outputs_follow_groups(outputs, xs, count):
    """Tell whether row n of every output depends on group n of the rows of xs alone."""
    if any(y.ndim == 0 or len(y) != count for y in outputs):
        return False
    half, generator = _random_half(count)
    half = half.to(xs[0].device)
    total = sum((y * random_like(y, generator))[half].sum() for y in outputs)
    return not _any_moved(gradients(total, xs), ~half)


def is_locally_linear(outputs, cotangents, x):
    """Tell whether sum(outputs * cotangents) has no second derivative by x."""
    total = sum((y * v).sum() for y, v in zip(outputs, cotangents, strict=True))
    (G,) = gradients(total, [x], create_graph=True)
    generator = torch.Generator().manual_seed(x.numel())
    (moved,) = gradients((G * random_like(x, generator)).sum(), [x])
    return not bool(moved.any())


def differentiable_tensors(outputs):
    """List the output tensors through which a gradient flows."""
    ys = tree_leaves(outputs)
    return [y for y in ys if isinstance(y, torch.Tensor) and y.requires_grad]


def _random_half(count):
    """Mark a random half of `count` groups; return it and the generator, seeded."""
    generator = torch.Generator().manual_seed(count)
    half = torch.zeros(count, dtype=torch.bool)
    half[torch.randperm(count, generator=generator)[: count // 2]] = True
    return half, generator


def _any_moved(gs, groups):
    """Tell whether a gradient is nonzero in the marked groups of its rows."""
    # not !=, because NaN is the business of whoever looks at the scores
    return any(
        bool((g.reshape(len(groups), -1)[groups.to(g.device)].abs() > 0).any())
        for g in gs
    )
