"""The closing table has no entry of scikit-learn's without a counterpart or a note."""

from pathlib import Path

import pytest

pytest.importorskip("numpydoc")  # of the documentation alone
DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture
def beside_sklearn(monkeypatch):
    monkeypatch.syspath_prepend(DOCS / "_extensions")
    return __import__("beside_sklearn")


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_every_entry_of_scikit_learn_has_a_counterpart_or_a_note(beside_sklearn, name):
    missing = [
        entry
        for _, entry, there in beside_sklearn.entries(name)
        if not there and not beside_sklearn.note(name, entry)
    ]
    assert missing == []


def test_every_note_is_on_an_entry(beside_sklearn):
    shown = {
        name: {entry for _, entry, _ in beside_sklearn.entries(name)}
        for name in beside_sklearn.PAIRS
    }
    assert beside_sklearn.NOTES.keys() <= set().union(*shown.values())
    for name, notes in beside_sklearn.OF_ONE.items():
        assert notes.keys() <= shown[name]


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_every_entry_has_a_row_in_the_table(beside_sklearn, name):
    table = beside_sklearn.table(name)
    for kind, entry, _ in beside_sklearn.entries(name):
        assert f"| {kind} `{entry}` | the same name |" in table
