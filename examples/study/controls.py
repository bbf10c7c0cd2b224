"""What the method does not offer: lowest scores, the diagonal, a smaller k later."""

import torch

from sklearn_hessreg import HessianReinit


class LowestReinit(HessianReinit):
    """Re-initialise the weights of lowest instead of highest Hessian score."""

    def _scores(self, net, layers, dataset):
        """Turn the order of the scores round."""
        scores = super()._scores(net, layers, dataset)
        return {name: -S for name, S in scores.items()}


class DiagonalReinit(HessianReinit):
    """Re-initialise by the diagonal of the Hessian alone."""

    def _scores(self, net, layers, dataset):
        """Score the single weights; units are not needed in the study."""
        rows = self._draw_samples(len(dataset))
        return self._on_samples(net, list(layers), dataset, rows, diagonal_scores)


class FadingReinit(HessianReinit):
    """Re-initialise less from event to event: k falls linearly, to 0 at max_epochs."""

    def _reinitialise(self, net, dataset, epoch):
        """Act with the k of this epoch."""
        k = self.k
        self.k = k * (1 - (epoch - 1) / net.max_epochs)
        try:
            super()._reinitialise(net, dataset, epoch)
        finally:
            self.k = k


def diagonal_scores(module, loss, inputs, targets, names, candidates=None):
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
    module.eval()  # the net switches back by itself
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
