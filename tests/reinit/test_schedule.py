"""When a cycle ends, as functions of epochs and of what is watched."""

import math

import numpy as np
import pytest

from sklearn_hessreg._reinit._cycles import (
    Cycles,
    Plateau,
    epochs_between,
    is_cycle_over,
)


def after(epochs, start=0):
    """Go through epochs, a cycle beginning after so many of them."""
    cycles = Cycles()
    for epoch in range(epochs):
        if epoch == start > 0:
            cycles = cycles.forget()
        cycles = cycles.begin_epoch().end_epoch()
    return cycles


def watch(values, tol=0.0, lower_is_better=True):
    """Go through the values of a cycle."""
    plateau = Plateau()
    for value in values:
        plateau = plateau.watch(value, tol, lower_is_better)
    return plateau


def misses_of_mlpclassifier(losses, tol):
    """Count as MLPClassifier._update_no_improvement_count does."""
    best, count = np.inf, 0
    for loss in losses:
        count = count + 1 if loss > best - tol else 0
        best = min(best, loss)
    return count


@pytest.mark.parametrize("tol", [0.0, 1e-4, 0.1])
def test_misses_are_those_of_mlpclassifier(tol):
    values = np.random.default_rng(0).random(40).round(1)  # with ties
    for end in range(1, 41):
        misses = misses_of_mlpclassifier(values[:end], tol)
        assert watch(values[:end], tol).misses == misses
        assert watch(-values[:end], tol, lower_is_better=False).misses == misses


def test_small_steps_raise_the_bar_without_being_improvements():
    plateau = watch([1.0, 0.95, 0.9], tol=0.1)
    assert plateau == Plateau(best=0.9, misses=2, is_best=True)


@pytest.mark.parametrize(
    ("value", "is_best"), [(0.9, False), (1.0, False), (1.1, True)]
)
def test_only_a_strictly_better_value_is_the_best(value, is_best):
    assert watch([1.0, value], lower_is_better=False).is_best == is_best


def test_nan_is_a_miss_and_no_best_value():
    assert watch([math.nan]) == Plateau(best=None, misses=1)
    assert watch([1.0, math.nan, 0.5]) == Plateau(best=0.5, misses=0, is_best=True)


@pytest.mark.parametrize("value", [math.inf, -math.inf])
@pytest.mark.parametrize("lower_is_better", [True, False])
def test_infinity_is_a_miss_and_no_best_value(value, lower_is_better):
    plateau = watch([value, value], lower_is_better=lower_is_better)
    assert plateau == Plateau(best=None, misses=2)


def test_scalars_of_numpy_are_watched_in_double_precision():
    tol, value = 1e-9, 1 - 2e-9
    assert watch([np.float32(1), value], tol).misses == 0


def test_a_plateau_is_reached_after_more_misses_than_allowed():
    assert not watch([1, 1, 1], tol=0.1).is_reached(2)
    assert watch([1, 1, 1, 1], tol=0.1).is_reached(2)
    assert not watch([1, 1, 1, 1], tol=0.1).is_reached(math.inf)


def test_an_integer_counts_all_epochs():
    over = [e for e in range(8) if is_cycle_over(after(e), 3, None, False)]
    assert over == [3, 6]


def test_a_small_integer_type_holds_any_number_of_epochs():
    assert is_cycle_over(after(300), np.uint8(3), None, False)


@pytest.mark.parametrize("plateaued", [True, False])
def test_a_plateau_ends_a_cycle(plateaued):
    assert is_cycle_over(after(3), "plateau", None, plateaued) == plateaued


@pytest.mark.parametrize("reinit_every", [1, "plateau"])
def test_no_cycle_ends_past_the_last_epoch_allowed(reinit_every):
    over = [e for e in range(8) if is_cycle_over(after(e), reinit_every, 3, True)]
    assert over == [1, 2, 3]


@pytest.mark.parametrize("reinit_every", [1, "plateau"])
def test_a_cycle_without_epochs_does_not_end(reinit_every):
    assert not is_cycle_over(after(4).forget(), reinit_every, None, True)


def test_cycles_are_counted_with_the_epoch_before_their_first():
    cycles = after(5, start=3)
    assert cycles == Cycles(epochs=5, ended=5, n_cycles=1, start=3)
    assert cycles.forget().forget().n_cycles == 2


@pytest.mark.parametrize(
    ("reinit_every", "n_iter_no_change", "epochs"),
    [
        (7, 10, 7),
        ("plateau", 10, 11),
        ("plateau", np.uint8(255), 256),
        ("plateau", math.inf, math.inf),
    ],
)
def test_epochs_between_events_are_at_least_those_of_the_schedule(
    reinit_every, n_iter_no_change, epochs
):
    assert epochs_between(reinit_every, n_iter_no_change) == epochs
