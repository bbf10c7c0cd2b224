"""One thread for little work: seen inside, given back, other threads left alone."""

import re
import threading

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from training_cases import X, Y

from sklearn_hessreg import (
    HessianRegularizedMLPClassifier,
    _torch_context,
    hessian_scores,
)
from sklearn_hessreg._torch_context import SEVERAL, threads_for

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
GIVEN = 3
LIMIT = 60  # seconds until what hangs is given up


@pytest.fixture(autouse=True)
def _three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(GIVEN)
    yield
    torch.set_num_threads(before)


def numbers():
    """Tell torch's number and MKL's; without MKL torch's twice."""
    threads = torch.__config__.parallel_info()
    found = re.search(r"mkl_get_max_threads\(\) : (\d+)", threads)
    own = torch.get_num_threads()
    return own, own if found is None else int(found[1])


class AtBatches(Callback):
    """Call a function at the end of every batch."""

    def __init__(self, function):
        self.function = function

    def on_batch_end(self, net, **kwargs):
        self.function()


def fit(function=lambda: None, method="fit", **options):
    clf = HessianRegularizedMLPClassifier(
        (8,), max_iter=1, random_state=0, skorch_callbacks=[AtBatches(function)]
    )
    clf.set_params(**options)
    if method == "partial_fit":
        return clf.partial_fit(X, Y, classes=np.unique(Y))
    return clf.fit(X, Y)


def record_in_forward(module):
    seen = set()
    module.register_forward_hook(lambda *_: seen.add(numbers()))
    return seen


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_small_network_trains_in_one_thread(method):
    seen = set()
    fit(lambda: seen.add(numbers()), method)
    assert seen == {(1, 1)}


@pytest.mark.parametrize(("solver", "threads"), [("adam", 1), ("lbfgs", GIVEN)])
def test_for_lbfgs_all_rows_are_one_batch(solver, threads, monkeypatch):
    # two operations for each row and each of 4 x 8 weights
    monkeypatch.setattr(_torch_context, "SEVERAL", 2 * len(X) * 4 * 8)
    seen = set()
    fit(lambda: seen.add(numbers()), solver=solver, batch_size=len(X) // 2)
    assert seen == {(threads, threads)}


def test_a_large_network_trains_in_all_threads(monkeypatch):
    monkeypatch.setattr(_torch_context, "SEVERAL", 0)
    seen = set()
    fit(lambda: seen.add(numbers()))
    assert seen == {(GIVEN, GIVEN)}


def test_the_papers_network_counts_as_large():
    with threads_for(2 * 200 * 1000 * 1000):
        assert numbers() == (GIVEN, GIVEN)


def test_a_small_network_predicts_in_one_thread():
    clf = fit(k=0)
    seen = record_in_forward(clf.net_.module_)
    clf.predict(X)
    assert seen == {(1, 1)}


def test_few_samples_are_scored_in_one_thread():
    seen, module = set(), torch.nn.Linear(4, 3).double()

    def loss(outputs, targets):
        seen.add(numbers())
        return torch.nn.functional.cross_entropy(outputs, targets)

    hessian_scores(module, loss, torch.from_numpy(X), torch.from_numpy(Y))
    assert seen == {(1, 1)}


@pytest.mark.parametrize("work", [0, SEVERAL])
def test_the_number_comes_back(work):
    with threads_for(work):
        pass
    assert numbers() == (GIVEN, GIVEN)


def test_the_number_comes_back_after_an_error_in_training():
    def fail():
        raise RuntimeError("from a callback")

    with pytest.raises(RuntimeError, match="from a callback"):
        fit(fail)
    assert numbers() == (GIVEN, GIVEN)


def test_much_work_within_little_gets_the_callers_number():
    with threads_for(0), threads_for(SEVERAL):
        assert numbers() == (GIVEN, GIVEN)


def test_after_much_work_within_little_there_is_one_thread_again():
    with threads_for(0):
        with threads_for(SEVERAL):
            pass
        assert numbers() == (1, 1)


def test_a_thread_that_begins_during_a_fit_has_the_processs_number():
    seen = []

    def ask_in_new_thread():
        thread = threading.Thread(target=lambda: seen.append(numbers()))
        thread.start()
        thread.join(LIMIT)

    fit(ask_in_new_thread)
    assert set(seen) == {(GIVEN, GIVEN)}


def test_a_thread_that_was_there_keeps_its_number_during_a_fit():
    asked, answered, seen = threading.Event(), threading.Event(), [numbers()]

    def answer():
        seen.append(numbers())  # its first use of torch
        answered.set()
        asked.wait(LIMIT)
        seen.append(numbers())

    thread = threading.Thread(target=answer)
    thread.start()
    answered.wait(LIMIT)

    def ask():
        asked.set()
        thread.join(LIMIT)

    fit(ask)
    assert seen == [(GIVEN, GIVEN)] * 3


def test_a_fit_in_a_new_thread_gives_that_threads_number_back():
    seen = []

    def fit_and_tell():
        fit()
        seen.append(numbers())

    thread = threading.Thread(target=fit_and_tell)
    thread.start()
    thread.join(LIMIT)
    assert seen == [(GIVEN, GIVEN)]


def test_where_torch_has_one_thread_nothing_is_set(monkeypatch):
    monkeypatch.delattr(_torch_context, "_openmp")
    torch.set_num_threads(1)
    fit()  # which would ask for what is not there
    assert torch.get_num_threads() == 1
