"""A training that is captured and goes on elsewhere ends as the uninterrupted one."""

import json
import pickle
from functools import partial

import numpy as np
import pytest
import torch
from processes import call_in_process
from skorch.callbacks import Callback, LRScheduler
from training_cases import DATA, assert_same, make_spec

from sklearn_hessreg._training import capture, to_plain, train
from sklearn_hessreg._validation import split_validation

CASES = {
    "adam": make_spec(),
    "sgd": make_spec(solver="sgd", learning_rate_init=0.1),
    "a torch optimizer": make_spec(solver=torch.optim.RMSprop),
    "dropout": make_spec(dropout=0.4),
    "early stopping": make_spec(early_stopping=True, n_iter_no_change=4),
    "early stopping that has ended": make_spec(
        early_stopping=True, tol=1, n_iter_no_change=3
    ),
    "adaptive": make_spec(
        solver="sgd", learning_rate="adaptive", tol=0.5, n_iter_no_change=1
    ),
    "invscaling": make_spec(solver="sgd", learning_rate="invscaling"),
    "in the middle of a cycle": make_spec({"reinit_every": 4}),
    "plateau": make_spec({"reinit_every": "plateau"}, tol=0.05, n_iter_no_change=1),
    "plateau of the score": make_spec(
        {"reinit_every": "plateau"}, early_stopping=True, n_iter_no_change=1, tol=1.0
    ),  # other rows validate from the fourth epoch on
    "reset of units": make_spec({"optimizer_state": "reset", "granularity": "unit"}),
    "random": make_spec({"importance": "random"}),
    "without shuffling": make_spec(shuffle=False),
    "float32": make_spec(dtype="float32"),
    "a schedule of skorch": make_spec(
        skorch_callbacks=(("lr", LRScheduler("StepLR", step_size=2, gamma=0.7)),)
    ),
}
CAPTURED_AFTER = 5


class Capture(Callback):
    """Pickle the state after some epochs."""

    def on_epoch_end(self, net, **kwargs):
        if net.n_epochs_begun_ == CAPTURED_AFTER:
            self.dump_ = pickle.dumps(to_plain(capture(net)))


def data_of(spec):
    X, y, *weights = DATA
    return X.astype(spec.dtype), y, *(weight.astype(spec.dtype) for weight in weights)


split = partial(split_validation, fraction=0.2, classes=np.arange(3))


def through(spec):
    """Train without interruption; return the end, and the state on the way."""
    watch = Capture()
    random_state = np.random.RandomState(0)
    valid = split if spec.early_stopping else None
    net = train(spec, data_of(spec), valid, random_state, callbacks=[("watch", watch)])
    return to_plain(capture(net)), getattr(watch, "dump_", None)


def go_on(cases):
    """Train each case from its state on; return the ends."""
    return {
        name: to_plain(
            capture(train(spec, data, valid, np.random.RandomState(99), state))
        )
        for name, (spec, data, valid, state) in cases.items()
    }


@pytest.fixture(scope="module")
def ends():
    """Map each case to its two ends: trained through, and on in another process."""
    whole = {name: through(spec) for name, spec in CASES.items()}
    captured = {
        name: (
            spec,
            data_of(spec),
            split if spec.early_stopping else None,
            pickle.loads(whole[name][1]),
        )
        for name, spec in CASES.items()
        if whole[name][1] is not None
    }
    on = call_in_process(go_on, captured)
    return {name: (whole[name][0], on[name]) for name in on}


@pytest.mark.parametrize("part", ["weights", "optimizer", "callbacks"])
@pytest.mark.parametrize("name", CASES)
def test_another_process_goes_on_to_the_same_end_to_the_bit(ends, name, part):
    whole, on = (dict(end) for end in ends[name])
    assert_same(whole[part], on[part])


@pytest.mark.parametrize("name", CASES)
def test_the_history_of_both_parts_is_that_of_the_whole(ends, name):
    assert_same(*(json.loads(end["history"]) for end in ends[name]))
