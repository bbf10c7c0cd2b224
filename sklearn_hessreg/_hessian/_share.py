"""Which part of the work on a score is this process's: all of it, or every size-th."""

import hashlib

import torch


class Share:
    """Every `size`-th item of what is shared out, from the `rank`-th on.

    The shares add up to the whole only where all processes have the same items in the
    same order. So what decides on these is noted in `rules`, and the loss in `losses`.
    """

    def __init__(self, rank=0, size=1):
        self.rank, self.size = rank, size
        self.rules, self.losses = [], []

    def of(self, items, order=None):
        """Return the slice of the items, which are in this order; their name is noted.

        Slices keep to views, so that the whole costs nothing.
        """
        if self.size > 1:
            self.rules.append((items, None if order is None else digest(order)))
        return slice(self.rank, None, self.size)

    def note_loss(self, J):
        """Note the loss that was differentiated, and what rounding may do to it."""
        if self.size > 1:
            self.losses.append((J.item(), torch.finfo(J.dtype).eps ** 0.5))


WHOLE = Share()


def digest(x):
    """Return a short text that tensors of other bits do not share."""
    dense = x.detach() if x.layout == torch.strided else x.detach().to_dense()
    data = dense.cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return hashlib.blake2b(data, digest_size=16).hexdigest()
