"""The closing table has no entry of scikit-learn's without a counterpart or a note."""

from pathlib import Path

import pytest

import sklearn_hessreg

pytest.importorskip("numpydoc")  # of the documentation alone
DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture
def beside_sklearn(monkeypatch):
    monkeypatch.syspath_prepend(DOCS / "_extensions")
    return __import__("beside_sklearn")


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_every_entry_of_scikit_learn_has_a_counterpart_or_a_note(beside_sklearn, name):
    if not hasattr(sklearn_hessreg, beside_sklearn.PAIRS[name]):
        pytest.skip("there is no such estimator yet")
    missing = [
        entry
        for _, entry, there in beside_sklearn.entries(name)
        if not there and entry not in beside_sklearn.NOTES
    ]
    assert missing == []


def test_every_note_is_on_an_entry(beside_sklearn):
    pairs = beside_sklearn.PAIRS.items()
    shown = {
        entry
        for theirs, ours in pairs
        if hasattr(sklearn_hessreg, ours)
        for _, entry, _ in beside_sklearn.entries(theirs)
    }
    assert beside_sklearn.NOTES.keys() <= shown
