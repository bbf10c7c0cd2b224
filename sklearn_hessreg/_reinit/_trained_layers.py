"""Which layers, rows and biases training changes, and what a unit is."""

import torch
from torch import nn

from sklearn_hessreg._hessian import weight_layers


def trainable_layers(module):
    """Name the weight layers whose weight the optimizer may change."""
    return [
        name
        for name in weight_layers(module)
        if module.get_submodule(name).weight.requires_grad
    ]


def trained_rows(layers):
    """Mark the rows that training changes, for those layers where it does not all.

    The row of an embedding's padding has no gradient: once redrawn, it would stay so.
    """
    rows = {}
    for name, layer in layers.items():
        if isinstance(layer, nn.Embedding | nn.EmbeddingBag):
            index = torch.arange(layer.num_embeddings, device="cpu")
            if layer.padding_idx is not None:
                rows[name] = index != layer.padding_idx
    return rows


def trained_bias(layer):
    """Return a layer's bias, if it has one that the optimizer may change."""
    bias = getattr(layer, "bias", None)
    return bias if isinstance(bias, nn.Parameter) and bias.requires_grad else None


def of_weights(mask, layer):
    """Repeat a mask of units for each of their weights; leave a mask of weights."""
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
