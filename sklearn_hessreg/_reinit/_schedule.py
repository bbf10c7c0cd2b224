"""When a re-initialisation is due: pure functions of the epochs and their batches."""

import math
from dataclasses import dataclass, replace

AUTO_BATCHES = 100  # from one re-initialisation to the next under reinit_every="auto"


@dataclass(frozen=True)
class Progress:
    """What a training has done: the epochs begun, and the batches of this cycle.

    A cycle lasts from the start, or from a re-initialisation, to the next one. What a
    schedule watches is counted here, not looked up in the net's history, from which
    other callbacks may remove rows.
    """

    epochs: int = 0
    ended: int = 0  # the number of the last epoch whose end was counted
    batches: int = 0  # of the finished epochs of the cycle
    longest: int = 0  # batches in the longest of them

    def begin_epoch(self):
        """Count an epoch."""
        return replace(self, epochs=self.epochs + 1)

    def end_epoch(self, batches):
        """Count the batches of the epoch, 0 of an interrupted one."""
        return replace(
            self,
            ended=self.epochs,
            batches=self.batches + batches,
            longest=max(self.longest, batches),
        )

    def begin_cycle(self):
        """Forget the last cycle."""
        return Progress(self.epochs, self.ended)


def is_due(progress, reinit_every, reinit_until=None, end=math.inf):
    """Decide whether to re-initialise before the next epoch begins.

    `end` is the epoch with which training is expected to end. One that goes on past it
    has no known end.
    """
    epochs = progress.epochs
    if epochs == 0 or epochs > (reinit_until or math.inf):
        return False
    if reinit_every != "auto":
        return epochs % reinit_every == 0
    left = end - epochs if epochs < end else math.inf
    enough = progress.batches >= AUTO_BATCHES
    return enough and left * progress.longest >= AUTO_BATCHES


def epochs_between(reinit_every, batches):
    """Count the epochs, of so many batches each, from one event to the next."""
    if reinit_every == "auto":
        return math.ceil(AUTO_BATCHES / batches)
    return reinit_every
