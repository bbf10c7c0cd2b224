"""Fixtures that several files of tests use."""

from pathlib import Path

import pytest


@pytest.fixture
def study_on_path(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "examples")
