"""Controls of the method: lowest scores, the diagonal alone, a k that falls to 0."""

import torch

from sklearn_hessreg import HessianReinit, hessian_scores


class FadingReinit(HessianReinit):
    """Re-initialise less from event to event: k falls linearly, to 0 at max_epochs."""

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Act with the k of this epoch."""
        k = self.k
        self.k = k * (1 - (net.history[-1, "epoch"] - 1) / net.max_epochs)
        try:
            super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)
        finally:
            self.k = k


def lowest_scores(module, names, *, loss, inputs, targets, generator=None):
    """Turn the order of the Hessian scores round."""
    scores = hessian_scores(module, loss, inputs, targets, layers=names)
    return {name: -S for name, S in scores.items()}


def diagonal_scores(module, names, *, loss, inputs, targets, generator=None):
    """Compute |d2 J / dW_ij^2| of linear layers, each used once.

    Behind z = W h it is |sum_n (d2 J / dz_ni^2) h_nj^2|.
    """
    seen = {}
    handles = [
        module.get_submodule(name).register_forward_hook(
            lambda layer, args, z, name=name: seen.update({name: (args[0], z)})
        )
        for name in names
    ]
    try:
        J = loss(module(inputs), targets)
    finally:
        for handle in handles:
            handle.remove()
    return {name: _diagonal(J, *seen[name]) for name in names}


def _diagonal(J, h, z):
    """Score one layer: one second derivative for each of its units."""
    (g,) = torch.autograd.grad(J, z, create_graph=True)
    curvature = [
        torch.autograd.grad(g[:, i].sum(), z, retain_graph=True)[0][:, i]
        for i in range(z.shape[1])
    ]
    return (torch.stack(curvature) @ h.detach().square()).abs()
