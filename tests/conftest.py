"""Fixtures that several files of tests use."""

from pathlib import Path

import pytest
from kills import run_and_kill
from ranks import outcomes_on_two_ranks


@pytest.fixture
def study_on_path(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "examples")


@pytest.fixture(scope="module")
def outcomes(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    return outcomes_on_two_ranks(request.module.PROGRAM, folder)


@pytest.fixture(scope="module")
def ends(request, tmp_path_factory):
    folder, module = tmp_path_factory.mktemp("killed"), request.module
    cases = list(module.CASES)
    return folder, run_and_kill(module.fit_and_store, cases, module.KILLS, folder)
