"""How many operations the largest matrix product of a scoring takes."""

import math

import torch

from sklearn_hessreg._hessian._streamed import count_operations


def count_largest_product(module, inputs, names, curvature):
    """Count them for linear layers on rows; of anything else they count as many.

    The last of the named layers is counted as one whose formula factorises; in the
    others each unit's part of the streamed Hessian is a product.
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
