"""The module that a net trains, made ready to be scored: uncompiled, with shapes."""

import torch
from torch.nn.parameter import is_lazy

from sklearn_hessreg._hessian import differentiable_evaluation
from sklearn_hessreg._reinit._samples import to_batch, two_samples


def uncompiled(net):
    """Return the net with the modules that torch.compile wraps in place of the wraps.

    What is compiled cannot be differentiated twice. The parameters are the same.
    """
    names = [f"{name}_" for name in [*net._modules, *net._criteria]]
    originals = {
        name: original
        for name in names
        if (original := getattr(getattr(net, name), "_orig_mod", None)) is not None
    }
    if not originals:
        return net
    view = object.__new__(type(net))
    vars(view).update(vars(net), **originals)
    return view


def has_lazy_parameters(net):
    """Tell whether the first batch is still to say what shape a parameter has."""
    return any(is_lazy(parameter) for parameter in net.module_.parameters())


def initialise_lazy_parameters(net, dataset):
    """Run two samples through the module, as its first batch would do."""
    Xi, _ = to_batch(net, two_samples(dataset))
    with differentiable_evaluation(net.module_, Xi), torch.no_grad():
        net.infer(Xi)
