"""The method beside what a user would fit instead: tables and the figure of cycles."""

import matplotlib.pyplot as plt
import pandas as pd

from study import cycles, noise
from study.analysis import CASE, load, with_tuned
from study.cycles import RECOMMENDED
from study.markdown import cell, compare, describe, markdown, mean, missing
from study.results import KEY

RIVALS = [
    "early stopping",
    "ten voting",
    "dropout tuned",
    "weight_decay tuned",
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
EPOCH = 60  # of the tuned arms of the study of long training


def ends(folder):
    """Take one row for each run: all its networks; of earlier studies the end."""
    rows = load(folder, cycles.STUDY)
    whole = rows.groupby(KEY, sort=False).tail(1)
    tuned = load(folder, noise.STUDY)
    tuned = with_tuned(tuned[tuned["epoch"] == EPOCH])
    tuned = tuned[tuned["arm"].isin({"none", "dropout tuned", "weight_decay tuned"})]
    parts = [
        whole,
        at_no_more_epochs(rows, RECOMMENDED, "ten voting"),
        tuned,
        forests(folder),
    ]
    return pd.concat(parts, ignore_index=True).drop_duplicates(KEY)


def forests(folder):
    """Take the random forests of the study of long training, on the same rows."""
    rows = load(folder, noise.STUDY)
    return rows[rows["arm"] == "RandomForestClassifier"].assign(arm="forest")


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
    columns = {
        "accuracy": lambda runs: cell(runs["test_accuracy"]),
        "epochs": mean("epoch"),
        "networks": mean("networks", 1),
        "CPU s": mean("seconds", 1),
    }
    records = describe(rows, columns)
    yield markdown("### All arms beside cycles", records)
    yield missing(load(folder, cycles.STUDY), cycles.STUDY)


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
    parts = _parts(folder, level)
    fig, axes = plt.subplots(2, 2, figsize=(8, 6.4), layout="constrained")
    for ax, dataset in zip(axes.flat, TITLES, strict=True):
        _draw_panel(ax, dataset, *parts)
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
    _draw_panel(ax, dataset, *_parts(folder, level))
    ax.set_title(f"{TITLES[dataset]}, {100 * level:.0f} % of the training labels wrong")
    ax.set(xlabel="epochs of training", ylabel="accuracy on clean test labels")
    ax.legend(loc="center right")
    return fig


def _parts(folder, level):
    """Take the runs of one share of wrong labels: of cycles, plain ones, forests."""
    plain = load(folder, noise.STUDY)
    parts = load(folder, cycles.STUDY), plain[plain["arm"] == "none"], forests(folder)
    return [part[part["noise"] == level] for part in parts]


def _draw_panel(ax, dataset, *parts):
    """Draw one data set."""
    rows, plain, trees = (part[part["dataset"] == dataset] for part in parts)
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
