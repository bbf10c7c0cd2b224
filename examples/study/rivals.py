"""The method beside what a user would fit instead: tables and the figure of cycles."""

import matplotlib.pyplot as plt
import pandas as pd

from study import cycles
from study.analysis import CASE, load
from study.cycles import RECOMMENDED
from study.markdown import compare, describe, markdown, mean
from study.results import KEY

RIVALS = [
    "early stopping",
    "ten voting",
    "CleanLearning",
    "forest",
    "boosting",
]
PAIRS = [
    *[(RECOMMENDED, rival) for rival in RIVALS],
    (f"{RECOMMENDED} at no more epochs", "ten voting"),
    (RECOMMENDED, "early stopping loss"),
    (RECOMMENDED, "random loss long"),
    (RECOMMENDED, "method"),
    *[("method", rival) for rival in [*RIVALS, "random", "largest"]],
    ("k=10, n=1", "early stopping"),
]


def ends(folder):
    """Take one row for each run, of all its networks."""
    rows = load(folder, cycles.STUDY)
    whole = rows.groupby(KEY, sort=False).tail(1)
    parts = [whole, at_no_more_epochs(rows, RECOMMENDED, "ten voting")]
    return pd.concat(parts, ignore_index=True)


def at_no_more_epochs(rows, arm, other):
    """Take of an arm's runs as many networks as another's epochs would have trained."""
    limit = rows[rows["arm"] == other].groupby(CASE)["epoch"].max().rename("limit")
    some = rows[rows["arm"] == arm].merge(limit, on=CASE)
    some = some[some["epoch"] <= some["limit"]].drop(columns="limit")
    some = some.groupby(KEY, sort=False).tail(1)
    return some.assign(arm=f"{arm} at no more epochs")


def tables(folder):
    """Write the tables."""
    rows = ends(folder)
    yield markdown(
        "## Cycles beside their rivals", compare(rows, PAIRS, ["test_accuracy"])
    )
    records = describe(rows, {"accuracy": mean("test_accuracy", 3)})
    yield markdown("### All arms beside cycles", records)


# Okabe and Ito's colours, told apart by colour-blind readers; markers without colour
LINES = {
    RECOMMENDED: ("the method, networks averaged", "#0072B2", "o-"),
    "ten voting": ("ten MLPClassifiers, voting", "#D55E00", "s--"),
}
TITLES = {
    "mnist-4000": "MNIST, 4,000 images",
    "mnist-1000": "MNIST, 1,000 images",
    "classification": "synthetic table, 4,000 rows",
    "digits": "scikit-learn's digits",
}


def draw(folder, level=0.4):
    """Draw accuracy by epochs spent, with wrong labels, a panel for each data set."""
    rows = load(folder, cycles.STUDY)
    rows = rows[rows["noise"] == level]
    fig, axes = plt.subplots(2, 2, figsize=(8, 6.4), layout="constrained")
    for ax, dataset in zip(axes.flat, TITLES, strict=True):
        _draw_panel(ax, rows[rows["dataset"] == dataset])
        ax.set_title(TITLES[dataset])
    for ax in axes[:, 0]:
        ax.set_ylabel("accuracy on clean test labels")
    for ax in axes[-1]:
        ax.set_xlabel("epochs of training")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=2)
    fig.suptitle(f"{100 * level:.0f} % of the training labels are wrong")
    return fig


def draw_one(folder, dataset="mnist-4000", level=0.4):
    """Draw one data set, for the first page."""
    fig, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    rows = load(folder, cycles.STUDY)
    _draw_panel(ax, rows[(rows["noise"] == level) & (rows["dataset"] == dataset)])
    ax.set_title(f"{TITLES[dataset]}, {100 * level:.0f} % of the training labels wrong")
    ax.set(xlabel="epochs of training", ylabel="accuracy on clean test labels")
    ax.legend(loc="center right")
    return fig


def _draw_panel(ax, rows):
    """Draw one data set."""
    plain, trees = (rows[rows["arm"] == arm] for arm in ("plain", "forest"))
    curve = plain.groupby("epoch")["test_accuracy"].mean()
    ax.plot(curve, color="0.45", lw=1.5, label="plain training")
    for arm, (label, colour, style) in LINES.items():
        runs = rows[rows["arm"] == arm].groupby("networks")
        # the last points are those of few runs
        curves = runs[["epoch", "test_accuracy"]].mean()[runs.size() > 5]
        ax.plot(*curves.to_numpy().T, style, color=colour, ms=4.5, label=label)
    first = rows.loc[rows["arm"] == "early stopping", ["epoch", "test_accuracy"]]
    label = "early stopping, one network"
    ax.plot(*first.mean(), "D", color="black", ms=7, label=label)
    height = trees["test_accuracy"].mean()
    ax.axhline(height, color="#009E73", ls=":", label="random forest")
    ax.set_ylim(bottom=max(0.5, curve.min() - 0.02))
