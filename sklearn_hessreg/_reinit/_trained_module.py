"""The trained parts of a net: unwrapped module, layers, rows, biases and units."""

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from sklearn_hessreg._hessian import (
    differentiable_evaluation,
    weight_layers,
    without_ddp,
)
from sklearn_hessreg._reinit._samples import to_batch, two_samples


def trainable_layers(module):
    """Name the weight layers whose weight the optimizer may change."""
    return [
        name
        for name in weight_layers(module)
        if module.get_submodule(name).weight.requires_grad
    ]


def trained_rows(layers):
    """Mark the rows that training changes, for layers where it does not change all.

    An embedding's padding row has no gradient: once redrawn, it would stay that way.
    """
    rows = {}
    for name, layer in layers.items():
        if isinstance(layer, nn.Embedding | nn.EmbeddingBag):
            index = torch.arange(layer.num_embeddings, device="cpu")
            if layer.padding_idx is not None:
                rows[name] = index != layer.padding_idx
    return rows


def trained_bias(layer):
    """Return a layer's bias if the optimizer may change it, else None."""
    bias = getattr(layer, "bias", None)
    return bias if isinstance(bias, nn.Parameter) and bias.requires_grad else None


def of_weights(mask, layer):
    """Repeat a mask of units for each of their weights; return other masks as is."""
    weight = layer.weight
    return mask.view(*mask.shape, *[1] * (weight.ndim - mask.ndim)).expand_as(weight)


def check_units(name, layer):
    """Refuse layers in which a row of the weight is not an output unit."""
    bias = trained_bias(layer)
    transposed = getattr(layer, "transposed", False)
    if transposed or (bias is not None and bias.shape != layer.weight.shape[:1]):
        raise ValueError(
            f"granularity='unit' takes the rows of a weight for the output units, but "
            f"layer {name!r} is a {type(layer).__name__} with a weight of shape "
            f"{tuple(layer.weight.shape)}. Use granularity='weight' or a smaller n."
        )


def unwrapped(net):
    """Return the net with its modules freed of wrappers that serve speed.

    A module made by torch.compile cannot be differentiated twice, and a forward pass in
    DistributedDataParallel waits for other processes. The parameters are the same.
    """
    names = [f"{name}_" for name in [*net._modules, *net._criteria]]
    originals = {
        name: original
        for name in names
        if (original := _bare(held := getattr(net, name))) is not held
    }
    if not originals:
        return net
    view = object.__new__(type(net))
    vars(view).update(vars(net), **originals)
    return view


def _bare(module):
    """Remove all wrappers."""
    module = without_ddp(module)
    while (inner := getattr(module, "_orig_mod", None)) is not None:
        module = without_ddp(inner)
    return module


def has_lazy_parameters(net):
    """Return whether a parameter's shape still depends on the first batch."""
    return any(is_lazy(parameter) for parameter in net.module_.parameters())


def initialise_lazy_parameters(net, dataset):
    """Run two samples through the module, as its first batch would."""
    Xi, _ = to_batch(net, two_samples(dataset))
    with differentiable_evaluation(net.module_, Xi), torch.no_grad():
        net.infer(Xi)
