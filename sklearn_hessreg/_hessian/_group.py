"""Communication between torch.distributed processes that score together.

Every exchange carries each process's stage and whether it failed. So a process that
fails, or was given something different, stops all of them with a message.
"""

import logging
import pickle
import threading
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from sklearn_hessreg._hessian._rank_checks import check_alike, check_sharing, digest

# Seconds before a process logs what it is waiting for.
PATIENCE = 60.0

logger = logging.getLogger("sklearn_hessreg")


def ranks_of(group=None):
    """Return the processes of a group, or ALONE if this one works alone.

    None means all processes that torch.distributed was initialised for. False means
    only this one.
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
    """One process's share of the work: every `size`-th item, starting at the `rank`-th.

    The shares add up to the whole only if all processes have the same items in the same
    order. So whatever determines these is noted in `rules`, and the loss in `losses`.
    """

    def __init__(self, rank=0, size=1):
        self.rank, self.size = rank, size
        self.rules, self.losses = [], []

    def of(self, items, order=None):
        """Return this share as a slice; note the name of the items and their order.

        Slices give views, so taking the whole costs nothing.
        """
        if self.size > 1:
            self.rules.append((items, None if order is None else digest(order)))
        return slice(self.rank, None, self.size)

    def note_loss(self, J):
        """Note the loss that was differentiated, and its rounding tolerance."""
        if self.size > 1:
            self.losses.append((J.item(), torch.finfo(J.dtype).eps ** 0.5))


WHOLE = Share()


class Alone:
    """A single process with the methods of Ranks, and nobody to talk to."""

    rank, size = 0, 1

    def gather(self, stage, compute):
        """Return the only process's result, in a list."""
        return [compute()]

    def attempt(self, stage, compute):
        """Return the result of `compute`."""
        return compute()

    def agree(self, stage, describe):
        """Do nothing: there is nobody to disagree with."""

    def score(self, stage, describe, compute, buffers=()):
        """Compute the whole score."""
        return compute(WHOLE)

    def add_up(self, x):
        """Return the only summand."""
        return x

    def broadcast(self, tensors):
        """Leave the tensors as they are."""


ALONE = Alone()


class Ranks:
    """The processes of a group, of which this one has number `rank`.

    All of them must call the same methods in the same order.
    """

    def __init__(self, group, rank, size):
        self.group, self.rank, self.size = group, rank, size

    def gather(self, stage, compute):
        """Run `compute` in every process and return all results.

        If one process fails, it raises its error, and the others report which it was.
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
        """Return the result of `compute`; raise if it fails in any process."""
        results = []
        self.gather(stage, lambda: results.append(compute()))
        return results[0]

    def agree(self, stage, describe):
        """Raise an error if the processes' descriptions differ."""
        check_alike(self.gather(f"{stage}, comparing", describe))

    def score(self, stage, describe, compute, buffers=()):
        """Run `compute` on each process's share and add up its dicts of tensors.

        The first process's `buffers` are broadcast beforehand.
        """
        self.agree(stage, describe)
        self.broadcast(buffers)
        share, results = Share(self.rank, self.size), []

        def compute_share():
            results.append(compute(share))
            return share.rules, share.losses

        check_sharing(self.gather(stage, compute_share))
        (scores,) = results
        for name, S in scores.items():
            scores[name] = self.add_up(S.contiguous())
        return scores

    def add_up(self, x):
        """Overwrite a tensor with its sum over all processes; return it."""
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
        """Warn if the wait for the others is long, and name the stage if it fails."""
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
        """Raise an error if another process failed or is at another stage."""
        for rank, (at, said, _) in enumerate(found):
            if said is not None:
                raise RuntimeError(f"Rank {rank} failed at: {at}. {said}")
            if at != stage:
                raise RuntimeError(
                    f"Rank {self.rank} is at: {stage}, but rank {rank} at: {at}. All "
                    "processes have to do the same in the same order."
                )
