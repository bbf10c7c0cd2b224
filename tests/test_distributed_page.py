"""The programs of the page on several cores and machines, as they stand there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ranks import torchrun

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "distributed.md"
CURVE = """
with open(f"{rank}.txt", "w") as file:
    print(*clf.loss_curve_, file=file)
"""
LAST = """
events = dict(net.callbacks_)["hessian"].reinit_history_
found = [*net.module_.parameters(), *scores.values()]
with open(f"{rank}.txt", "w") as file:
    print(len(events), *(x.sum().item() for x in found), file=file)
"""


def blocks(heading):
    """Take the Python code of the section whose heading ends so."""
    (section,) = re.findall(
        rf"^## [^\n]*{heading}\n(.*?)(?=^## |\Z)", PAGE.read_text(), M
    )
    return re.findall(r"^```python\n(.*?)^```", section, M)


M = re.MULTILINE | re.DOTALL


def start(folder, heading):
    """Start the program of a section."""
    (program,) = blocks(heading)
    (folder / "program.py").write_text(program)
    paths = (str(ROOT), os.environ.get("PYTHONPATH", ""))
    return subprocess.Popen(
        [sys.executable, "program.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def printed_by(process):
    """Wait for a program that must end well; return its lines."""
    printed, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    return printed.splitlines()


def results(line):
    """Leave out which way gave them."""
    return line.partition(" ")[2]


def test_processes_threads_and_dask_print_the_same_results(tmp_path):
    pytest.importorskip("distributed")
    processes, threads = printed_by(start(tmp_path, "joblib"))
    (dask,) = printed_by(start(tmp_path, "dask"))
    assert results(processes) == results(threads) == results(dask)


def test_two_processes_add_to_one_study(tmp_path):
    pytest.importorskip("optuna")
    both = [start(tmp_path, "Optuna") for _ in range(2)]
    ends = [printed_by(process)[-1].split()[0] for process in both]
    assert "4" in ends


def written_on_two_ranks(program, code):
    """Run a program that writes a file on each rank; return what they wrote."""
    program.write_text(code)
    done = torchrun(program)
    assert done.returncode == 0, done.stderr
    return [(program.parent / f"{rank}.txt").read_text() for rank in range(2)]


def test_an_estimator_is_the_same_on_all_ranks(tmp_path, monkeypatch):
    (code,) = blocks("torchrun")
    monkeypatch.chdir(tmp_path)
    first, second = written_on_two_ranks(tmp_path / "fit.py", code + CURVE)
    assert first == second
    assert len(first.split()) == 20


def test_the_callback_trains_one_network_and_all_ranks_end_alike(tmp_path, monkeypatch):
    *parts, end = blocks("HessianReinit")
    monkeypatch.chdir(tmp_path)
    code = "\n".join([*parts, LAST, end])
    first, second = written_on_two_ranks(tmp_path / "train.py", code)
    assert first == second
    assert first.startswith("2 ")


def test_the_example_of_accelerate_trains_one_network_on_two_ranks():
    pytest.importorskip("accelerate")
    done = torchrun(ROOT / "examples" / "skorch_accelerate.py")
    assert done.returncode == 0, done.stderr
    assert "2 processes" in done.stdout
    sums = re.search(r"sums of the weights: \[(.*), (.*)\]", done.stdout)
    assert sums[1] == sums[2]
