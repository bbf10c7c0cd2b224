"""Fixtures that several files of tests use."""

from pathlib import Path

import pytest
from kills import run_and_kill
from processes import call_in_process
from ranks import call_on_ranks, failures


@pytest.fixture
def study_on_path(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "examples")


@pytest.fixture(scope="module")
def failures_by_rank(request):
    return call_on_ranks(failures, request.module.MODULE)


@pytest.fixture(scope="module")
def ends(request, tmp_path_factory):
    folder, module = tmp_path_factory.mktemp("killed"), request.module
    cases = list(module.CASES)
    # in a process of their own, as others have threads and should not fork
    results = call_in_process(
        run_and_kill, module.fit_and_store, cases, module.KILLS, folder
    )
    return folder, results
