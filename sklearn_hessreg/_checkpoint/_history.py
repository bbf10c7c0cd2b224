"""Pickles of a net's history, which grows: each row's is made once."""

import pickle


class PickledRows:
    """The rows of the epochs, and their pickles as long as they stay as they are."""

    def __init__(self):
        self.kept = []

    def update(self, history):
        """Return the pickles of all rows; of the last one it is always made anew."""
        last = len(history) - 1
        self.kept = [
            self.kept[i] if i < last and self._has(i, row) else _pickled(row)
            for i, row in enumerate(history)
        ]
        return [pickled for *_, pickled in self.kept]

    def _has(self, i, row):
        """Tell if a row is the one that was pickled, with as many entries."""
        if i >= len(self.kept):
            return False
        kept, size, _ = self.kept[i]
        return kept is row and size == _size_of(row)


def _pickled(row):
    """Pickle a row."""
    return row, _size_of(row), pickle.dumps(row, protocol=5)


def _size_of(row):
    """Count a row's entries, and its batches, of which a callback may let go."""
    return len(row), len(row.get("batches", ()))


def unpickle_rows(rows):
    """Make rows of their pickles."""
    return [pickle.loads(row) for row in rows]
