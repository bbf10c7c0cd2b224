"""The programs of the page on several cores and machines, as they stand there."""

import re
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from processes import call_in_processes
from ranks import call_on_ranks, run_program, torchrun
from sklearn.base import clone

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
PAGE = ROOT / "docs" / "distributed.md"
M = re.MULTILINE | re.DOTALL
CURVE = """
with open(f"{rank}.txt", "w") as file:
    print(*clf.loss_curve_, file=file)
"""
LAST = """
events = dict(net.callbacks_)["hessian"].reinit_history_
found = [*net.module_.parameters(), *scores.values()]
print(len(events), *(x.sum().item() for x in found))
"""


def blocks(heading):
    """Take the Python code of the section whose heading ends so."""
    (section,) = re.findall(
        rf"^## [^\n]*{heading}\n(.*?)(?=^## |\Z)", PAGE.read_text(), M
    )
    return re.findall(r"^```python\n(.*?)^```", section, M)


def execute(code, before, more, **names):
    """Run a program, with more code before a line; return what its names are."""
    assert code.count(before) == 1
    names["__name__"] = "__main__"
    exec(code.replace(before, more + before), names)
    return names


@pytest.fixture(scope="module")
def searches():
    """Run the program of joblib; return its search by processes, threads and alone."""
    (code,) = blocks("joblib")
    threads, copied = "with joblib.parallel", "by_processes = deepcopy(search)\n"
    names = execute(code, threads, copied, deepcopy=deepcopy)
    alone = clone(names["search"]).set_params(n_jobs=None)
    return (
        names["by_processes"],
        names["search"],
        alone.fit(names["X"] / 16, names["y"]),
    )


def assert_equal(search, other):
    """Compare scores, and the network that is fitted again, to the bit."""
    assert search.best_params_ == other.best_params_
    for name in ("split0_test_score", "split1_test_score"):
        assert np.array_equal(search.cv_results_[name], other.cv_results_[name])
    networks = [s.best_estimator_.coefs_ for s in (search, other)]
    for W, V in zip(*networks, strict=True):
        assert np.array_equal(W, V)


def test_processes_and_threads_give_the_serial_search_to_the_bit(searches):
    by_processes, by_threads, alone = searches
    assert_equal(by_processes, alone)
    assert_equal(by_threads, alone)


def worker():
    """Return the address of dask's worker that calls this."""
    from distributed import get_worker

    return get_worker().address


def test_dask_gives_the_serial_search_to_the_bit_and_computes_in_its_workers(
    searches, tmp_path
):
    pytest.importorskip("distributed")
    import dask

    (code,) = blocks("dask")
    ask = "        found = joblib.Parallel()([joblib.delayed(worker)()] * 4)\n"
    with dask.config.set({"temporary-directory": str(tmp_path)}):
        names = execute(code, "        search.fit", ask, worker=worker)
    assert_equal(names["search"], searches[-1])
    assert all(address.startswith("tcp://127.0.0.1:") for address in names["found"])


def test_two_processes_add_to_one_study(tmp_path):
    pytest.importorskip("optuna")
    (code,) = blocks("Optuna")
    program = tmp_path / "tune.py"
    program.write_text(code)
    both = call_in_processes(run_program, [(program, tmp_path)] * 2)
    assert "4 trials" in "".join(both)


def test_an_estimator_is_the_same_on_all_ranks(tmp_path, monkeypatch):
    (code,) = blocks("torchrun")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fit.py").write_text(code + CURVE)
    done = torchrun("fit.py")
    assert done.returncode == 0, done.stderr
    first, second = ((tmp_path / f"{rank}.txt").read_text() for rank in range(2))
    assert first == second
    assert len(first.split()) == 20


def test_the_callback_trains_one_network_and_all_ranks_end_alike(tmp_path):
    *parts, end = blocks("HessianReinit")
    program = tmp_path / "train.py"
    program.write_text("\n".join([*parts, LAST, end]))
    printed = call_on_ranks(run_program, program, tmp_path)
    first, second = (text.splitlines()[-1] for text in printed)
    assert first == second
    assert first.startswith("2 ")


def test_the_example_of_accelerate_trains_one_network_on_two_ranks(tmp_path):
    pytest.importorskip("accelerate")
    program = ROOT / "examples" / "skorch_accelerate.py"
    printed = "".join(call_on_ranks(run_program, program, tmp_path))
    assert "2 processes" in printed
    sums = re.search(r"sums of the weights: \[(.*), (.*)\]", printed)
    assert sums[1] == sums[2]
