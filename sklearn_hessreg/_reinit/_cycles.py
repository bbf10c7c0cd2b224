"""The cycles of a training: when one ends, how far it has come, what is kept."""

import math
from dataclasses import asdict, dataclass, field, replace
from numbers import Real
from typing import Any

from sklearn.utils import Bunch


@dataclass(frozen=True)
class Plateau:
    """How a loss or score has developed in a cycle, by MLPClassifier's rule.

    An epoch is an improvement if it beats the best epoch before it by `tol`, so small
    steps raise the bar without being improvements. An epoch whose value is not finite
    is never an improvement and never the best.
    """

    best: float | None = None
    misses: int = 0  # epochs in a row without improvement
    is_best: bool = False  # whether the last value is better than all before

    def watch(self, value, tol, lower_is_better):
        """Return the state after an epoch with this value."""
        value = float(value)  # a numpy scalar would round the sums to its own type
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
        """Return whether more epochs in a row than that were no improvement."""
        return self.misses > n_iter_no_change


def is_cycle_over(cycles, reinit_every, reinit_until, plateaued):
    """Decide whether an epoch ends a cycle; none does after `reinit_until`."""
    epochs = cycles.epochs
    if epochs == cycles.start or epochs > (reinit_until or math.inf):
        return False
    if reinit_every == "plateau":
        return bool(plateaued)
    return epochs % int(reinit_every) == 0  # epochs may exceed a small integer type


def epochs_between(reinit_every, n_iter_no_change):
    """Return the epochs from one event to the next; for plateaus, the minimum."""
    if reinit_every == "plateau":
        return float(n_iter_no_change) + 1  # it may be infinite
    return int(reinit_every)


class Snapshot(Bunch):
    """The network at the end of a cycle: its weights, last epoch and score."""

    def __repr__(self):
        score = None if self.score is None else f"{self.score:.4g}"
        return f"Snapshot(cycle={self.cycle}, epoch={self.epoch}, score={score})"


@dataclass(frozen=True)
class Cycles:
    """The cycles that have ended, and the current one.

    A cycle lasts from the start, or from a re-initialisation, to the next one. Epochs
    are counted here, not looked up in the net's history, because other callbacks may
    remove rows from it. All is immutable, so copies share the snapshots' weights.
    """

    epochs: int = 0  # begun
    ended: int = 0  # the number of the last epoch whose end was counted
    n_cycles: int = 0  # that have ended
    start: int = 0  # epochs before this cycle
    plateau: Plateau = field(default_factory=Plateau)
    score: float | None = None  # of the last epoch of this cycle
    best: dict[str, Any] | None = None  # weights of its best epoch, if wanted
    kept: tuple[Snapshot, ...] = ()
    cut: Snapshot | None = None  # of the cycle that the end of training cut off
    suspended: dict[str, Any] | None = None  # weights from which that cycle resumes
    is_due: bool = False  # whether the next epoch begins with an event

    def begin_epoch(self):
        """Count an epoch; a cycle that was cut off goes on with it."""
        return replace(self, epochs=self.epochs + 1, cut=None)

    def end_epoch(self):
        """Count the end of an epoch."""
        return replace(self, ended=self.epochs)

    def watch(self, score, tol, lower_is_better):
        """Compare an epoch with the others of the cycle, if it has a score."""
        if score is None:
            return self
        plateau = self.plateau.watch(score, tol, lower_is_better)
        return replace(self, plateau=plateau, score=float(score))

    def with_best(self, weights):
        """Hold the weights of the epoch just watched as the cycle's best."""
        return replace(self, best=weights)

    @property
    def final_score(self):
        """The score of the cycle's network: its best epoch's if held, or its last's."""
        return self.score if self.best is None else self.plateau.best

    def end_cycle(self, weights, n_snapshots):
        """Keep a snapshot, mark an event as due and forget the rest of the cycle."""
        kept = _last(n_snapshots, *self.kept, self.snapshot(weights))
        return replace(self.forget(), kept=kept, is_due=True)

    def begin_cycle(self):
        """Note that the event has taken place."""
        return replace(self, is_due=False)

    def cut_off(self, weights, suspended):
        """Stop in mid-cycle; the cycle's snapshot, if it counts, is provisional."""
        cut = None if weights is None else self.snapshot(weights)
        return replace(self, cut=cut, suspended=suspended)

    def resume(self):
        """Continue in mid-cycle."""
        return replace(self, cut=None, suspended=None)

    def snapshot(self, weights):
        """Build the snapshot of this cycle's network."""
        cycle, score = self.n_cycles + 1, self.final_score
        return Snapshot(cycle=cycle, epoch=self.epochs, score=score, weights=weights)

    def forget(self):
        """Begin a new training: no snapshots, a new cycle; the counts continue."""
        # a cycle without epochs is not counted
        n_cycles = self.n_cycles + (self.epochs > self.start)
        return Cycles(self.epochs, self.ended, n_cycles, start=self.epochs)

    def without_snapshots(self):
        """Continue the current cycle as the only one."""
        return replace(self, kept=(), cut=None, suspended=None, is_due=False)

    def without_scores(self):
        """Drop all scores, those of the snapshots too."""
        kept = tuple(Snapshot(**{**s, "score": None}) for s in self.kept)
        return replace(self, kept=kept, plateau=Plateau(), score=None)

    @property
    def is_under_way(self):
        """Whether epochs were trained since the last cycle ended or was cut off."""
        is_cut_off = self.cut is not None or self.suspended is not None
        return self.epochs > self.start and not is_cut_off

    def counts(self, lower_is_better):
        """Return whether this cycle's network counts although the cycle was cut off.

        It must be no worse than the worst snapshot, if there is any. No score, or NaN,
        is worse than all others.
        """
        gains = [_as_gain(kept["score"], lower_is_better) for kept in self.kept]
        return not gains or _as_gain(self.final_score, lower_is_better) >= min(gains)

    def members(self, n_snapshots):
        """List the last `n_snapshots` snapshots, including that of a cut-off cycle."""
        cut = () if self.cut is None else (self.cut,)
        return list(_last(n_snapshots, *self.kept, *cut))

    def to_plain(self):
        """Convert the cycles to plain values and arrays, without copying."""
        kept = [dict(snapshot) for snapshot in self.kept]
        cut = None if self.cut is None else dict(self.cut)
        plateau = asdict(self.plateau)
        return {**vars(self), "plateau": plateau, "kept": kept, "cut": cut}

    @classmethod
    def from_plain(cls, parts):
        """Rebuild the cycles from such values."""
        kept = tuple(Snapshot(**snapshot) for snapshot in parts["kept"])
        cut = None if parts["cut"] is None else Snapshot(**parts["cut"])
        made = {"plateau": Plateau(**parts["plateau"]), "kept": kept, "cut": cut}
        return cls(**{**parts, **made})


def _last(count, *snapshots):
    """Take the last snapshots; negating an unsigned count would give a large number."""
    return snapshots[-int(count) :]


def _as_gain(score, lower_is_better):
    """Flip a score's sign if needed, so that higher is better."""
    if score is None or math.isnan(score):
        return -math.inf
    return -score if lower_is_better else score


def column_of(method, row):
    """Return the name of the monitored history column."""
    if method.monitor != "auto":
        return method.monitor
    return "valid_loss" if "valid_loss" in row else "train_loss"


def read_monitor(method, row):
    """Return the number that an epoch's row holds in the monitored column.

    It may be missing if no decision depends on it.
    """
    monitor = column_of(method, row)
    value = row.get(monitor)
    if isinstance(value, Real):
        return float(value)
    if value is None and method.monitor == "auto" and not decides(method):
        return None
    columns = sorted(name for name, held in row.items() if isinstance(held, float))
    found = f"holds {value!r}" if monitor in row else "is missing"
    raise ValueError(
        f"The column monitor={monitor!r} {found} in the net's history at the end of "
        f"epoch {row.get('epoch')}; there are {columns}. Name one of these, or put "
        "the callback that records it before this one."
    )


def decides(method):
    """Return whether what is monitored ends cycles or chooses their networks."""
    return method.reinit_every == "plateau" or method.load_best
