"""Tests on the numbers at hand of the structure that the formulas rely on.

Each differentiates once or twice in a random direction: what a structure makes zero is
zero to the bit, and what it does not is nonzero for almost every direction.
"""

import torch
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import CheckpointFunction


def gradients(y, xs, **options):
    """Differentiate y by each x, keeping the graph; zeros where there is none."""
    if isinstance(y, torch.Tensor) and not y.requires_grad:
        return [torch.zeros_like(x) for x in xs]
    return torch.autograd.grad(
        y, xs, retain_graph=True, materialize_grads=True, **options
    )


def derivatives(gs, xs, us):
    """Return the derivatives by the xs of the sum of the products of gs and us."""
    # as grad_outputs, because the sum of a product takes longer to differentiate
    moving = [(g, u) for g, u in zip(gs, us, strict=True) if g.requires_grad]
    if not moving:
        return [torch.zeros_like(x) for x in xs]
    return gradients([g for g, _ in moving], xs, grad_outputs=[u for _, u in moving])


def random_directions(z):
    """Draw a direction for each row of z, which are multiples of one, always the same.

    As good as any other, since what vanishes for almost all multiples of almost all
    directions is zero; and drawn in no time.
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
    """Draw powers of two and their negatives, which are multiplied unrounded."""
    u = random_like(x)
    return u.sign() * 2.0 ** (4 * u.abs() % 4).floor()


def some_groups_interact(g, xs, count):
    """Tell whether the derivatives by xs of its gradient g couple groups of its rows.

    A random half of the `count` groups is displaced; the gradient of the others must
    not move. A network or a loss that mixes its samples fails at once, one that mixes
    few of them may pass.
    """
    return _displaced_reach_others(g, xs, _displacements(xs), random_half(count))


def any_groups_interact(g, xs, count):
    """Tell the same for certain: for each bit, displace the groups that have it set.

    Any two of the groups differ in the bits of their numbers.
    """
    numbers, us = torch.arange(count, device="cpu"), _displacements(xs)
    return any(
        _displaced_reach_others(g, xs, us, (numbers >> bit) % 2 == 1)
        for bit in range((count - 1).bit_length())
    )


def outputs_follow_groups(outputs, xs, count):
    """Tell whether row n of every output depends on group n of the rows of xs alone."""
    half = random_half(count).to(xs[0].device)
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
    (g,) = gradients(total, [x], create_graph=True)
    moved = gradients((g * random_like(x)).sum(), [x])
    return not _any_moved(moved, torch.tensor([True], device=x.device))


def hessian_product(J, W, R):
    """Return the Hessian of J by W times R, from two derivatives."""
    (G,) = gradients(J, [W], create_graph=True)
    return gradients((G * R).sum(), [W])[0]


def agrees(J, W, product, HR=None):
    """Tell whether `product` is the Hessian times random_like(W), HR, but for rounding.

    A formula whose product differs was applied to a network of another structure. What
    rounding does is seen by computing the product once more, for 3 R.
    """
    R = random_like(W)
    HR = hessian_product(J, W, R) if HR is None else HR
    difference = (product.view_as(HR) - HR).abs().max()
    # not <=, because NaN is the business of whoever looks at the scores
    if not difference > torch.finfo(HR.dtype).eps ** 0.5 * HR.abs().max():
        return True
    noise = (hessian_product(J, W, 3 * R) / 3 - HR).abs().max()
    return not difference > 30 * noise


def refuse_interaction():
    """Refuse curvatures of single samples that interact."""
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
    """Draw a random displacement of each x."""
    return [random_like(x, seed) for seed, x in enumerate(xs)]


def _displaced_reach_others(g, xs, us, groups):
    """Displace the marked groups of the rows of xs by us; tell if g of others moves."""
    groups = groups.to(xs[0].device)
    displaced = [(u.view(len(groups), -1) * groups[:, None]).view_as(u) for u in us]
    return _any_moved(derivatives(g, xs, displaced), ~groups)


def _any_moved(gs, groups):
    """Tell whether a gradient is nonzero in the marked groups of its rows."""
    # not !=, because NaN is the business of whoever looks at the scores
    return any(bool((g.reshape(len(groups), -1)[groups].abs() > 0).any()) for g in gs)


def check_graph(outputs, J, weights):
    """Refuse weights used behind the registry's back, and reentrant checkpoints.

    `weights` maps names of layers to the module's own weights, in place of which the
    pass had others: they can be met only through a reference that the module keeps
    elsewhere.
    """
    names = {id(weight): name for name, weight in weights.items()}
    ys = [y for y in tree_leaves(outputs) if isinstance(y, torch.Tensor)]
    # outputs inside an object that nobody knows are seen from the loss
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
    """Tell whether the graph behind some tensors leads to any of the leaves."""
    sought = {id(leaf) for leaf in leaves}
    nodes = _nodes([x for x in tensors if x.requires_grad])
    return any(id(getattr(node, "variable", None)) in sought for node in nodes)


def passes_by(tensors, z, through):
    """Tell whether the graph behind some tensors has a way to z not by `through`."""
    return z.grad_fn in _nodes(tensors, through.grad_fn)


def _nodes(tensors, end=None):
    """Go through all nodes of the graph behind some tensors, and not beyond `end`."""
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
