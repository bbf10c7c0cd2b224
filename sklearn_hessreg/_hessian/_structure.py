"""Tests on the numbers at hand of the structure that the formulas rely on.

Each differentiates once or twice in a random direction: what a structure makes zero is
zero to the bit, and what it does not is nonzero for almost every direction.
"""

import torch


def gradients(y, xs, **options):
    """Differentiate y by each x, keeping the graph; zeros where there is none."""
    if not y.requires_grad:
        return [torch.zeros_like(x) for x in xs]
    return torch.autograd.grad(
        y, xs, retain_graph=True, materialize_grads=True, **options
    )


def random_like(x, seed=0):
    """Draw standard normal numbers like x, always the same."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)


def groups_interact(J, xs, count):
    """Tell whether second derivatives of J couple the `count` groups of rows of xs.

    A random half of the groups is displaced; the gradient of the others must not move.
    """
    half = _random_half(count, xs[0].device)
    G = gradients(J, xs, create_graph=True)
    product = 0
    for seed, (g, x) in enumerate(zip(G, xs, strict=True)):
        u = random_like(x, seed).view(count, -1) * half[:, None]
        product = product + (g * u.view_as(g)).sum()
    return _any_moved(gradients(product, xs), ~half)


def outputs_follow_groups(outputs, xs, count):
    """Tell whether row n of every output depends on group n of the rows of xs alone."""
    if not outputs or any(y.ndim == 0 or len(y) != count for y in outputs):
        return False
    half = _random_half(count, xs[0].device)
    total = sum(
        (y * random_like(y, seed))[half].sum() for seed, y in enumerate(outputs)
    )
    return not _any_moved(gradients(total, xs), ~half)


def is_locally_linear(outputs, v, x):
    """Tell whether no output has a second derivative by x that v gives a weight.

    Each row has a random weight besides, so that rows do not cancel.
    """
    products = [(y * g).reshape(len(y), -1) for y, g in zip(outputs, v, strict=True)]
    total = sum((p * random_like(p[:, :1]).abs()).sum() for p in products)
    (G,) = gradients(total, [x], create_graph=True)
    (moved,) = gradients((G * random_like(x)).sum(), [x])
    return not bool(moved.any())


def hessian_product(J, W, R):
    """Return the Hessian of J by W times R, from two derivatives."""
    (G,) = gradients(J, [W], create_graph=True)
    return gradients((G * R).sum(), [W])[0]


def agrees(J, W, product):
    """Tell whether `product` is the Hessian times random_like(W), but for rounding.

    A formula whose product differs was applied to a network of another structure. What
    rounding does is seen by computing the product once more, for 3 R.
    """
    R = random_like(W)
    HR = hessian_product(J, W, R)
    difference = (product.view_as(HR) - HR).abs().max()
    # not <=, because NaN is the business of whoever looks at the scores
    if not difference > torch.finfo(HR.dtype).eps ** 0.5 * HR.abs().max():
        return True
    noise = (hessian_product(J, W, 3 * R) / 3 - HR).abs().max()
    return not difference > 30 * noise


def _random_half(count, device):
    """Mark a random half of `count` groups, by a seed of their number."""
    generator = torch.Generator().manual_seed(count)
    half = torch.zeros(count, dtype=torch.bool)
    half[torch.randperm(count, generator=generator)[: count // 2]] = True
    return half.to(device)


def _any_moved(gs, groups):
    """Tell whether a gradient is nonzero in the marked groups of its rows."""
    # not !=, because NaN is the business of whoever looks at the scores
    return any(bool((g.reshape(len(groups), -1)[groups].abs() > 0).any()) for g in gs)
