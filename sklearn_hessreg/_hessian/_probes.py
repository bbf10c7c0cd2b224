"""Numerical tests of the structure that the formulas rely on.

Each test differentiates once or twice in a random direction. What the structure makes
zero is zero to the bit; anything else is nonzero for almost every direction.
"""

import torch
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import CheckpointFunction


def gradients(y, xs, **options):
    """Differentiate y with respect to each x, keeping the graph; zeros without one."""
    if isinstance(y, torch.Tensor) and not y.requires_grad:
        return [torch.zeros_like(x) for x in xs]
    return torch.autograd.grad(
        y, xs, retain_graph=True, materialize_grads=True, **options
    )


def derivatives(gs, xs, us):
    """Return the derivatives of the sum of all g * u with respect to each x."""
    moving = [(g, u) for g, u in zip(gs, us, strict=True) if g.requires_grad]
    if not moving:
        return [torch.zeros_like(x) for x in xs]
    # torch would import sympy for grad_outputs: 0.4 seconds in every new process
    total = sum(torch.dot(g.reshape(-1), u.reshape(-1)) for g, u in moving)
    return gradients(total, xs)


def random_directions(z):
    """Draw a direction for each row of z: multiples of a single one, always the same.

    They are as good as any others, since what vanishes for almost all multiples of
    almost all directions is zero. And they take no time to draw.
    """
    generator = torch.Generator("cpu").manual_seed(0)
    options = {"generator": generator, "dtype": z.dtype, "device": "cpu"}
    drawn = torch.randn(len(z) + z.shape[1], **options).to(z.device)
    multiples, direction = drawn.split([len(z), z.shape[1]])
    multiples += multiples.sign()  # none is near zero
    return torch.outer(multiples, direction)


def random_like(x, seed=0):
    """Draw standard normal numbers like x, always the same."""
    generator = torch.Generator("cpu").manual_seed(seed)
    drawn = torch.randn(x.shape, generator=generator, dtype=x.dtype, device="cpu")
    return drawn.to(x.device)


def powers_of_two_like(x):
    """Draw positive and negative powers of two, which multiply without rounding."""
    powers = torch.tensor([-8, -4, -2, -1, 1, 2, 4, 8], dtype=x.dtype, device="cpu")
    generator = torch.Generator("cpu").manual_seed(0)
    drawn = torch.randint(len(powers), x.shape, generator=generator, device="cpu")
    return powers.take(drawn).to(x.device)


def some_groups_interact(g, xs, count):
    """Return whether the derivatives of the gradient g in xs couple groups of rows.

    A random half of the `count` groups is displaced; the gradient of the others must
    not move. A network or loss that mixes its samples fails at once; one that mixes
    only a few of them may pass.
    """
    return _displaced_reach_others(g, xs, _displacements(xs), random_half(count))


def any_groups_interact(g, xs, count):
    """Return the same with certainty, by displacing the groups with each bit set.

    Any two groups differ in some bit of their numbers.
    """
    numbers, us = torch.arange(count, device="cpu"), _displacements(xs)
    return any(
        _displaced_reach_others(g, xs, us, (numbers >> bit) % 2 == 1)
        for bit in range((count - 1).bit_length())
    )


def outputs_follow_groups(outputs, xs, count):
    """Return whether row n of every output depends only on row group n of xs."""
    half = random_half(count).to(xs[0].device)
    total = sum(
        (y * random_like(y, seed))[half].sum() for seed, y in enumerate(outputs)
    )
    return not _any_moved(gradients(total, xs), ~half)


def is_locally_linear(outputs, v, x):
    """Return whether no output that v weights has a second derivative in x.

    Each row also gets a random weight, so that rows do not cancel.
    """
    products = [(y * g).reshape(len(y), -1) for y, g in zip(outputs, v, strict=True)]
    total = sum((p * random_like(p[:, :1]).abs()).sum() for p in products)
    (g,) = gradients(total, [x], create_graph=True)
    moved = gradients((g * random_like(x)).sum(), [x])
    return not _any_moved(moved, torch.tensor([True], device=x.device))


def hessian_product(J, W, R):
    """Return the Hessian of J with respect to W, times R, from two derivatives."""
    (G,) = gradients(J, [W], create_graph=True)
    return gradients((G * R).sum(), [W])[0]


def agrees(J, W, product, HR=None):
    """Return whether `product` is HR, the Hessian times random_like(W), up to rounding.

    A formula whose product differs does not fit the network's structure. The effect of
    rounding is measured by computing the product once more, for 3 R.
    """
    R = random_like(W)
    HR = hessian_product(J, W, R) if HR is None else HR
    difference = (product.view_as(HR) - HR).abs().max()
    # not <=: NaN passes, and is left to whoever uses the scores
    if not difference > torch.finfo(HR.dtype).eps ** 0.5 * HR.abs().max():
        return True
    noise = (hessian_product(J, W, 3 * R) / 3 - HR).abs().max()
    return not difference > 30 * noise


def refuse_interaction():
    """Raise ValueError: samples that interact have no curvature of their own."""
    raise ValueError(
        "curvature='per_sample' has no meaning here: samples interact in the "
        "network or in the loss, as in batch norm without running statistics. Use "
        "curvature='mean_loss'."
    )


def random_half(count):
    """Mark a random half of `count` groups, always the same."""
    generator = torch.Generator("cpu").manual_seed(count)
    half = torch.zeros(count, dtype=torch.bool, device="cpu")
    half[torch.randperm(count, generator=generator, device="cpu")[: count // 2]] = True
    return half


def _displacements(xs):
    """Draw a random displacement for each x."""
    return [random_like(x, seed) for seed, x in enumerate(xs)]


def _displaced_reach_others(g, xs, us, groups):
    """Return whether displacing the marked groups of xs by us moves the others' g."""
    groups = groups.to(xs[0].device)
    displaced = [(u.view(len(groups), -1) * groups[:, None]).view_as(u) for u in us]
    return _any_moved(derivatives(g, xs, displaced), ~groups)


def _any_moved(gs, groups):
    """Return whether a gradient is nonzero in the marked groups of its rows."""
    # not !=: NaN passes, and is left to whoever uses the scores
    return any(bool((g.reshape(len(groups), -1)[groups].abs() > 0).any()) for g in gs)


def check_graph(outputs, J, weights):
    """Reject weights used behind the registry's back, and reentrant checkpoints.

    `weights` maps layer names to the module's own weights. The pass used stand-ins for
    them, so they appear only through a reference that the module keeps elsewhere.
    """
    names = {id(weight): name for name, weight in weights.items()}
    ys = [y for y in tree_leaves(outputs) if isinstance(y, torch.Tensor)]
    # outputs inside an object of unknown type are found from the loss
    for node in _nodes([y for y in ys if y.requires_grad] or [J]):
        name = names.get(id(getattr(node, "variable", None)))
        if name is not None:
            raise ValueError(
                f"The weight of layer {name!r} is also used through a reference that "
                "the module's registry does not know, such as an attribute "
                "self.tied = [layer.weight], so its scores would be wrong. In forward, "
                "take the weight from its layer, or register a second layer that owns "
                "the same parameter."
            )
        if isinstance(node, CheckpointFunction._backward_cls):
            raise ValueError(
                "The module uses torch.utils.checkpoint with use_reentrant=True, "
                "through which torch computes no second derivative. Use "
                "use_reentrant=False, or no checkpoints in evaluation mode."
            )


def reaches(tensors, leaves):
    """Return whether the graph behind some tensors leads to any of the leaves."""
    sought = {id(leaf) for leaf in leaves}
    nodes = _nodes([x for x in tensors if x.requires_grad])
    return any(id(getattr(node, "variable", None)) in sought for node in nodes)


def passes_by(tensors, z, through):
    """Return whether the graph behind some tensors reaches z without `through`."""
    return z.grad_fn in _nodes(tensors, through.grad_fn)


def _nodes(tensors, end=None):
    """Yield all nodes of the graph behind some tensors, going no further than `end`."""
    found = {y.grad_fn for y in tensors if y.grad_fn is not None}
    todo = list(found)
    while todo:
        node = todo.pop()
        yield node
        if node is end:
            continue
        following = {after for after, _ in node.next_functions} - found - {None}
        found |= following
        todo += following
