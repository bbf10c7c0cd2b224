"""Cycles that the callback ends itself, by watching the net's history.

These functions take the callback, whose hyperparameters and cycles they read, and the
module in training. They return the updated cycles.
"""

from numbers import Real

from sklearn_hessreg._reinit._snapshots import (
    has_weights,
    take_weights,
    write_weights,
)


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
    if value is None and method.monitor == "auto" and not _decides(method):
        return None
    columns = sorted(name for name, held in row.items() if isinstance(held, float))
    found = f"holds {value!r}" if monitor in row else "is missing"
    raise ValueError(
        f"The column monitor={monitor!r} {found} in the net's history at the end of "
        f"epoch {row.get('epoch')}; there are {columns}. Name one of these, or put "
        "the callback that records it before this one."
    )


def _decides(method):
    """Return whether what is monitored ends cycles or chooses their networks."""
    return method.reinit_every == "plateau" or method.load_best


def watch_epoch(method, module, score):
    """Compare an epoch with the others of its cycle, and hold the best weights."""
    cycles = method.cycles_.watch(score, method.tol, method.lower_is_better)
    if method.load_best and cycles.plateau.is_best:
        cycles = cycles.with_best(take_weights(module))
    return cycles


def end_cycle(method, module):
    """Restore the cycle's best weights, if they are held, and keep a snapshot."""
    cycles = method.cycles_
    if cycles.plateau.best is None and _decides(method):
        raise ValueError(
            f"The column monitor={method.monitor!r} was never finite in the last "
            f"{cycles.plateau.misses} epochs (now {cycles.score}), so this cycle has "
            "no best epoch. Monitor another column, lower the learning rate, or scale "
            "the inputs."
        )
    if cycles.best is not None:
        write_weights(module, cycles.best)
    weights = take_weights(module)
    return cycles.end_cycle(weights, cycles.final_score, method.n_snapshots)


def cut_off(method, module):
    """End the training in mid-cycle; another training may resume the cycle.

    The module gets the last snapshot's weights. That is this cycle's, if it counts.
    """
    cycles = method.cycles_
    weights = current = take_weights(module)
    counts = cycles.counts(cycles.final_score, method.lower_is_better)
    if not counts:
        weights = cycles.kept[-1]["weights"]
    elif cycles.best is not None:
        weights = cycles.best
    if weights is not current:
        write_weights(module, weights)
    return cycles.cut_off(
        weights if counts else None, None if weights is current else current
    )


def resume(method, module):
    """Resume the cycle that the end of the last training cut off."""
    cycles = method.cycles_
    if cycles.suspended is None:
        return cycles
    # a module that has changed since then is trained as it is
    if has_weights(module, method.snapshots_[-1]["weights"]):
        write_weights(module, cycles.suspended)
    return cycles.resume()
