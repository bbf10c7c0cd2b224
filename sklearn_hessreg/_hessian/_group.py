"""Processes of torch.distributed that score together: what they say to each other.

Every exchange tells at which stage a process is and whether it failed, so that one that
fails, or was given something else than the others, stops all of them with a message.
"""

import logging
import pickle
import threading
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from sklearn_hessreg._hessian._rank_checks import check_alike, check_sharing, digest

# Seconds after which a process says what it is waiting for.
PATIENCE = 60.0

logger = logging.getLogger("sklearn_hessreg")


def ranks_of(group=None):
    """Return the processes of a group, or that this one works alone.

    None stands for all processes that torch.distributed was initialised for, False for
    this one.
    """
    if group is False or not (dist.is_available() and dist.is_initialized()):
        return ALONE
    rank, size = dist.get_rank(group), dist.get_world_size(group)
    if rank < 0:
        raise ValueError(
            f"Process {dist.get_rank()} is not in the group that it was given. Call it "
            "in the processes of the group alone."
        )
    return Ranks(group, rank, size) if size > 1 else ALONE


def without_ddp(module):
    """Return the module that DistributedDataParallel wraps, or the module itself."""
    while isinstance(module, DistributedDataParallel):
        module = module.module
    return module


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


class Alone:
    """One process in the place of several: it computes, and there is nobody to tell."""

    rank, size = 0, 1

    def gather(self, stage, compute):
        """Return what the only process computes, in a list."""
        return [compute()]

    def attempt(self, stage, compute):
        """Compute something."""
        return compute()

    def agree(self, stage, describe):
        """Agree with oneself."""

    def score(self, stage, describe, compute, buffers=()):
        """Compute the whole."""
        return compute(WHOLE)

    def add_up(self, x):
        """Return the only summand."""
        return x

    def broadcast(self, tensors):
        """Leave the tensors as they are."""


ALONE = Alone()


class Ranks:
    """The processes of a group, of which this one has the number `rank`.

    All of them have to call the same methods in the same order.
    """

    def __init__(self, group, rank, size):
        self.group, self.rank, self.size = group, rank, size

    def gather(self, stage, compute):
        """Compute something in every process and return the results of all.

        Where one fails, it raises its error and the others say which it was.
        """
        failure, result = None, b""
        try:
            result = pickle.dumps(compute())
        except Exception as error:
            failure = error
        said = None if failure is None else f"{type(failure).__name__}: {failure}"
        found = [None] * self.size
        with self._waiting(stage):
            message = (stage, said, result)
            dist.all_gather_object(found, message, group=self.group)
        if failure is not None:
            raise failure
        self._check(stage, found)
        return [pickle.loads(result) for _, _, result in found]

    def attempt(self, stage, compute):
        """Compute something here, which must not fail in any of the processes."""
        results = []
        self.gather(stage, lambda: results.append(compute()))
        return results[0]

    def agree(self, stage, describe):
        """Refuse to go on where the processes do not describe the same."""
        check_alike(self.gather(f"{stage}, comparing", describe))

    def score(self, stage, describe, compute, buffers=()):
        """Add up what `compute` returns, a dict of tensors, of each process's share.

        The `buffers` of the first process are taken before.
        """
        self.agree(stage, describe)
        self.broadcast(buffers)
        share, results = Share(self.rank, self.size), []

        def compute_share():
            results.append(compute(share))
            return share.rules, share.losses

        check_sharing(self.gather(stage, compute_share))
        (scores,) = results
        scores = {name: S.contiguous() for name, S in scores.items()}
        return {name: self.add_up(S) for name, S in scores.items()}

    def add_up(self, x):
        """Overwrite a tensor with the sum of those of all processes; return it."""
        dist.all_reduce(x, group=self.group)
        return x

    @torch.no_grad()
    def broadcast(self, tensors):
        """Overwrite tensors with those of the first process."""
        for x in tensors:
            whole = x.detach().contiguous()
            dist.broadcast(whole, group=self.group, group_src=0)
            if whole.data_ptr() != x.data_ptr():
                x.copy_(whole)

    @contextmanager
    def _waiting(self, stage):
        """Say after a while that others are waited for, and at the end that in vain."""
        here = f"Rank {self.rank} of {self.size}"
        advice = (
            "All processes of the group have to take part, with the same calls in the "
            "same order."
        )
        said = (f"{here} has waited {PATIENCE:g} s for the others at: {stage}.", advice)
        timer = threading.Timer(PATIENCE, logger.warning, ["%s %s", *said])
        timer.daemon = True
        timer.start()
        try:
            yield
        except RuntimeError as error:
            raise RuntimeError(
                f"{here} waited for the others in vain at: {stage}. {advice} "
                f"torch.distributed says: {error}"
            ) from error
        finally:
            timer.cancel()

    def _check(self, stage, found):
        """Raise what went wrong in other processes."""
        for rank, (at, said, _) in enumerate(found):
            if said is not None:
                raise RuntimeError(f"Rank {rank} failed at: {at}. {said}")
            if at != stage:
                raise RuntimeError(
                    f"Rank {self.rank} is at: {stage}, but rank {rank} at: {at}. All "
                    "processes have to do the same in the same order."
                )
