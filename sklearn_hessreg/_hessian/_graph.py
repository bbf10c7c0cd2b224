"""What the graph of a forward pass tells of uses that scores cannot follow."""

import torch
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import CheckpointFunction


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
