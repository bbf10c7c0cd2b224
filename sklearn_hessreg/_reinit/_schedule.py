"""When a cycle ends: pure functions of the epochs and of the quantity watched."""

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Progress:
    """What a training has done: the epochs begun and ended, the cycles ended.

    A cycle lasts from the start, or from a re-initialisation, to the next one. What a
    schedule needs is counted here, not looked up in the net's history, from which
    other callbacks may remove rows.
    """

    epochs: int = 0
    ended: int = 0  # the number of the last epoch whose end was counted
    cycles: int = 0
    start: int = 0  # epochs before the first one of this cycle

    def begin_epoch(self):
        """Count an epoch."""
        return replace(self, epochs=self.epochs + 1)

    def end_epoch(self):
        """Count the end of the epoch."""
        return replace(self, ended=self.epochs)

    def end_cycle(self):
        """Count a cycle; one without epochs has not begun."""
        begun = self.epochs > self.start
        return replace(self, cycles=self.cycles + begun, start=self.epochs)


@dataclass(frozen=True)
class Plateau:
    """How a loss or score has developed in a cycle, by MLPClassifier's rule.

    An epoch is an improvement if it beats the best one before it by `tol`, so small
    steps raise the bar without being improvements. One whose value is not finite is
    none, and never the best.
    """

    best: float | None = None
    misses: int = 0  # epochs in a row without improvement
    is_best: bool = False  # whether the last value is better than all before

    def watch(self, value, tol, lower_is_better):
        """Return the state after an epoch with this value."""
        value = float(value)  # a scalar of numpy would round the sums to its own type
        if not math.isfinite(value):
            return Plateau(self.best, self.misses + 1)
        worst = math.inf if lower_is_better else -math.inf
        best = worst if self.best is None else self.best
        if lower_is_better:
            improved, is_best = value <= best - tol, value < best
        else:
            improved, is_best = value >= best + tol, value > best
        misses = 0 if improved else self.misses + 1
        return Plateau(value if is_best else self.best, misses, is_best)

    def is_reached(self, n_iter_no_change):
        """Tell whether more epochs in a row than that were no improvement."""
        return self.misses > n_iter_no_change


def is_cycle_over(progress, reinit_every, reinit_until, plateaued):
    """Decide whether the epoch that has just ended ends a cycle.

    `plateaued` is whether what is watched has reached its plateau. After the epoch
    `reinit_until` no cycle ends.
    """
    epochs = progress.epochs
    if epochs == progress.start or epochs > (reinit_until or math.inf):
        return False
    if reinit_every == "plateau":
        return bool(plateaued)
    return epochs % int(reinit_every) == 0  # epochs may be beyond a small integer type


def epochs_between(reinit_every, n_iter_no_change):
    """Count the epochs from one event to the next; at a plateau at least so many."""
    if reinit_every == "plateau":
        return float(n_iter_no_change) + 1  # it may be infinite
    return int(reinit_every)
