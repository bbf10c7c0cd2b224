"""Group, average, label and outline heat maps of matrices of any size."""

import numpy as np


def group(totals, sort, max_cells):
    """Split the indices of an axis into groups of neighbours, or of similar totals."""
    order = np.argsort(-totals, kind="stable") if sort else np.arange(len(totals))
    return np.array_split(order, min(max_cells, len(totals)))


def average(matrix, groups, axis):
    """Average a matrix over groups of rows or columns."""
    parts = [matrix.take(part, axis).mean(axis) for part in groups]
    return np.stack(parts, axis)


def edges(groups):
    """Return the borders of the groups, each as wide as its number of members."""
    return np.cumsum([0, *map(len, groups)]) - 0.5


def axis_label(name, groups, sorted_by):
    """Name an axis, noting any sorting and grouping."""
    notes = [f"by {sorted_by}"] if sorted_by else []
    if (size := len(groups[0])) > 1:
        notes.append(f"{size} per cell")
    return f"{name} ({', '.join(notes)})" if notes else name


def borders(marked, x, y):
    """List the segments around the marked cells whose edges lie at `x` and `y`."""
    framed = np.pad(marked, 1)
    segments = []
    # one long segment where consecutive cells have the same border
    for i, changes in enumerate(np.diff(framed.astype(int), axis=0)[:, 1:-1] != 0):
        segments += [((x[a], y[i]), (x[b], y[i])) for a, b in _runs(changes)]
    for j, changes in enumerate(np.diff(framed.astype(int), axis=1)[1:-1].T != 0):
        segments += [((x[j], y[a]), (x[j], y[b])) for a, b in _runs(changes)]
    return segments


def _runs(flags):
    """List the start and end of each run of true values."""
    ends = np.flatnonzero(np.diff(np.pad(flags.astype(int), 1)))
    return ends.reshape(-1, 2)
