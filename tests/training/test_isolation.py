"""A fit owns what it draws from: threads, forks and torch's contexts do not meet it."""

import os
import pickle
import signal
import subprocess
import sys
import threading
from functools import partial

import joblib
import numpy as np
import pytest
import torch
from processes import call_in_process, posix
from settings import small
from skorch.callbacks import Callback
from training_cases import X, Y

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
LIMIT = 60  # seconds until what hangs is given up
make = partial(small, n=2, max_iter=6, reinit_every=2, dropout=0.3)


def assert_equal_weights(one, two):
    for a, b in zip(one.coefs_, two.coefs_, strict=True):
        assert np.array_equal(a, b)


class AtEpochs(Callback):
    """Call a function at the start of every epoch."""

    def __init__(self, function):
        self.function = function

    def on_epoch_begin(self, net, **kwargs):
        self.function()


def test_eight_fits_in_threads_equal_eight_in_a_row():
    alone = [make(random_state=seed).fit(X, Y) for seed in range(8)]
    with joblib.parallel_config("threading", n_jobs=8):
        together = joblib.Parallel()(
            joblib.delayed(make(random_state=seed).fit)(X, Y) for seed in range(8)
        )
    for one, two in zip(alone, together, strict=True):
        assert_equal_weights(one, two)


def test_two_fits_in_threads_run_at_the_same_time():
    both = threading.Barrier(2, timeout=LIMIT)  # broken if one waits for the other
    fits = [
        make(skorch_callbacks=[AtEpochs(both.wait)], random_state=seed)
        for seed in (0, 1)
    ]
    with joblib.parallel_config("threading", n_jobs=2):
        joblib.Parallel()(joblib.delayed(fit.fit)(X, Y) for fit in fits)
    assert not both.broken


def test_others_draw_from_torchs_generator_during_a_fit_as_without_it():
    torch.manual_seed(0)
    expected = [torch.rand(3) for _ in range(6)]
    torch.manual_seed(0)
    drawn = []
    draw = AtEpochs(lambda: drawn.append(torch.rand(3)))
    make(skorch_callbacks=[draw]).fit(X, Y)
    assert all(map(torch.equal, drawn, expected))


def test_loading_a_model_during_a_fit_changes_none_of_its_weights():
    dumped = pickle.dumps(make().fit(X, Y))
    load = AtEpochs(lambda: pickle.loads(dumped))
    assert_equal_weights(make(skorch_callbacks=[load]).fit(X, Y), make().fit(X, Y))


def fork_and_wait(function, *args):
    """Call a function in a forked process; return its status, and 14 if it hangs."""
    child = os.fork()
    if child == 0:
        signal.alarm(LIMIT)
        function(*args)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def fit_beside_a_thread_that_fits():
    at_work, forked = threading.Event(), threading.Event()

    def meet():
        at_work.set()
        forked.wait()

    fit = make(skorch_callbacks=[AtEpochs(meet)], max_iter=2).fit
    thread = threading.Thread(target=fit, args=(X, Y), daemon=True)
    thread.start()
    assert at_work.wait(LIMIT), "the fit broke off"
    status = fork_and_wait(make(max_iter=2).fit, X, Y)
    forked.set()
    thread.join()
    return status


def predict_after_loading(dumped):
    torch.set_num_threads(2)
    model = pickle.loads(dumped)
    return fork_and_wait(model.predict, np.zeros((2000, 200)))


@posix
def test_a_fork_beside_a_thread_that_fits_can_fit():
    assert call_in_process(fit_beside_a_thread_that_fits) == 0


@posix
def test_a_fork_of_a_process_that_only_loaded_a_model_can_predict():
    rng = np.random.default_rng(0)  # more weights than torch copies in one thread
    big = make(hidden_layer_sizes=(300,), max_iter=1, dropout=0, k=0)
    big.fit(rng.normal(size=(300, 200)), np.arange(300) % 2)
    assert call_in_process(predict_after_loading, pickle.dumps(big)) == 0


@pytest.mark.parametrize(
    "context",
    [
        lambda: torch.autocast("cpu"),
        torch.inference_mode,
        torch.no_grad,
        lambda: torch.device("meta"),
    ],
    ids=["autocast", "inference_mode", "no_grad", "default device"],
)
def test_contexts_of_torch_change_neither_training_nor_prediction(context):
    rows = X.astype("f4")
    plain = make().fit(rows, Y)
    with context():
        within = make().fit(rows, Y)
        within.partial_fit(rows, Y)
        proba = plain.predict_proba(rows)
        scores = plain.hessian_scores(rows, Y)
    assert_equal_weights(plain.partial_fit(rows, Y), within)
    again = make().fit(rows, Y)
    assert np.array_equal(proba, again.predict_proba(rows))
    expected = again.hessian_scores(rows, Y)
    assert all(np.array_equal(scores[name], expected[name]) for name in expected)


def test_the_package_may_be_imported_under_another_default_device():
    script = (
        "import torch\n"
        "torch.set_default_device('meta')\n"
        "from sklearn_hessreg import HessianRegularizedMLPClassifier\n"
        "torch.set_default_device(None)\n"
        "import numpy as np\n"
        "X, y = np.zeros((20, 3)), np.arange(20) % 2\n"
        "HessianRegularizedMLPClassifier(max_iter=2).fit(X, y).predict_proba(X)\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True)
