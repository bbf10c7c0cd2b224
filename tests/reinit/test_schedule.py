"""When a re-initialisation is due, as functions of epochs and batches."""

import math

import pytest

from sklearn_hessreg._reinit._schedule import Progress, epochs_between, is_due


def after(epochs, batches=3):
    """Go through epochs of so many batches."""
    progress = Progress()
    for _ in range(epochs):
        progress = progress.begin_epoch().end_epoch(batches)
    return progress


def test_nothing_is_due_before_the_first_epoch():
    assert not is_due(Progress(), 1)


def test_an_integer_counts_all_epochs():
    due = [e for e in range(8) if is_due(after(e), 3)]
    assert due == [3, 6]


def test_nothing_is_due_past_the_last_epoch_allowed():
    due = [e for e in range(8) if is_due(after(e), 1, reinit_until=3)]
    assert due == [1, 2, 3]


def test_auto_waits_for_a_hundred_batches_of_the_cycle():
    assert not is_due(after(33), "auto")
    assert is_due(after(34), "auto")
    assert not is_due(after(34).begin_cycle(), "auto")


def test_auto_leaves_a_hundred_batches_to_the_end():
    assert is_due(after(34), "auto", end=68)
    assert not is_due(after(34), "auto", end=67)


def test_auto_knows_no_end_once_the_expected_one_is_passed():
    assert not is_due(after(40), "auto", end=41)
    assert is_due(after(40), "auto", end=40)
    assert is_due(after(40), "auto", end=30)


def test_an_interrupted_epoch_is_an_epoch_without_batches():
    progress = after(33).begin_epoch()
    assert (progress.epochs, progress.batches) == (34, 99)


@pytest.mark.parametrize(
    ("reinit_every", "batches", "epochs"),
    [("auto", 3, 34), ("auto", 100, 1), ("auto", 500, 1), (7, 3, 7)],
)
def test_epochs_between_events_are_those_of_the_schedule(reinit_every, batches, epochs):
    assert epochs_between(reinit_every, batches) == epochs
    progress = Progress(epochs=0)
    while not is_due(progress, reinit_every, end=math.inf):
        progress = progress.begin_epoch().end_epoch(batches)
    assert progress.epochs == epochs
