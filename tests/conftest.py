"""Fixtures that several files of tests use."""

from pathlib import Path

import pytest
from ranks import outcomes_on_two_ranks


@pytest.fixture
def study_on_path(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "examples")


@pytest.fixture(scope="module")
def outcomes(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    return outcomes_on_two_ranks(request.module.PROGRAM, folder)
