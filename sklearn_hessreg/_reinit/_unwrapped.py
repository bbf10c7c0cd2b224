"""The module that a net trains, made ready to be scored: unwrapped, with shapes."""

import torch
from torch.nn.parameter import is_lazy

from sklearn_hessreg._hessian import differentiable_evaluation, without_ddp
from sklearn_hessreg._reinit._samples import to_batch, two_samples


def unwrapped(net):
    """Return the net with modules in place of what wraps them for speed.

    What torch.compile has made cannot be differentiated twice, and in
    DistributedDataParallel a forward pass waits for other processes. The parameters are
    the same.
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
    """Take off all wraps."""
    module = without_ddp(module)
    while (inner := getattr(module, "_orig_mod", None)) is not None:
        module = without_ddp(inner)
    return module


def has_lazy_parameters(net):
    """Tell whether the first batch is still to say what shape a parameter has."""
    return any(is_lazy(parameter) for parameter in net.module_.parameters())


def initialise_lazy_parameters(net, dataset):
    """Run two samples through the module, as its first batch would do."""
    Xi, _ = to_batch(net, two_samples(dataset))
    with differentiable_evaluation(net.module_, Xi), torch.no_grad():
        net.infer(Xi)
