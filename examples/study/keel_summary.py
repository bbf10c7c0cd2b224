"""The real tables: every arm beside the estimator as it comes, and against time."""

import sys

import matplotlib.pyplot as plt
import numpy as np

from study import keel, restart
from study.analysis import load
from study.keel_rivals import SLOW, STRONG
from study.markdown import cell, markdown

NOISES = {0: "clean labels", 0.2: "20 % wrong", 0.4: "40 % wrong"}
# arms of the second and the third machine
SECOND = [*STRONG, *SLOW, "random weights", "k=100"]
THIRD = ["CleanLearning, MLPClassifier"]
THIRD += ["ours, suspects dropped", "gce, suspects dropped"]
TIMED_BESIDE = dict.fromkeys(SECOND, keel.AGAIN) | dict.fromkeys(THIRD, keel.ONCE_MORE)
# arms drawn: colour (Okabe and Ito's), marker, and the name of a reader's choice
BLUE, RED, GREEN, BLACK = "#0072B2", "#D55E00", "#009E73", "#000000"
DRAWN = {
    "ours": (BLUE, "o", "this estimator"),
    "gce": (BLUE, "*", 'this estimator, loss="gce"'),
    "k=0 by loss": (BLUE, "v", "one network, same stopping"),
    "ten k=0 by loss": (BLUE, "X", "ten networks, same stopping"),
    "MLPClassifier": (BLACK, "v", "MLPClassifier"),
    "ten MLPClassifiers by accuracy": (BLACK, "X", "ten MLPClassifiers voting"),
    "RealMLP_TD_S": (BLACK, "o", "RealMLP_TD_S"),
    "forest": (GREEN, "o", "random forest"),
    "forest, leaves of 5": (GREEN, "*", "random forest, min_samples_leaf=5"),
    "extra trees": (GREEN, "v", "extra trees"),
    "boosting": (GREEN, "X", "gradient boosting"),
    "forest, suspects dropped": (RED, "o", "forest without suspicious rows"),
    "CleanLearning, forest": (RED, "v", "CleanLearning of a forest"),
}


def beside(rows, arms, ours):
    """Yield each arm with the runs, by data set and seed, that ours has too."""
    by_run = rows.pivot_table(index=["dataset", "seed"], columns="arm")
    for arm in (name for name in arms if name in by_run["seconds"]):
        yield arm, by_run[by_run["seconds"][[ours, arm]].notna().all(axis=1)]


def kind_of_noise(dataset):
    """Say how a real table's labels are wrong, if not at random."""
    return " near the boundary" if dataset.endswith("-boundary") else ""


def relative_time(both, arm):
    """Return an arm's CPU time over ours, of the runs of both on the same machine."""
    seconds = both["seconds"]
    ours = TIMED_BESIDE.get(arm, keel.DEFAULT)
    if ours not in seconds:
        return np.nan
    there = seconds[arm].notna() & seconds[ours].notna()
    return seconds[arm][there].sum() / seconds[ours][there].sum()


def ranks(rows):
    """Return each arm's mean rank by accuracy, among the arms that have all tables."""
    means = rows.pivot_table(index="dataset", columns="arm", values="test_accuracy")
    return means.dropna(axis=1).rank(axis=1, ascending=False).mean()


def keel_tables(folder):
    """Write the tables of the real tables.

    An interval is one over the tables, of each the mean of the seeds that both arms
    have; a win is a table on which the estimator is ahead.
    """
    runs = load(folder, keel.STUDY)
    records = []
    arms = [*keel.STUDY.arms, *SLOW]
    kind = runs["dataset"].map(kind_of_noise).rename("kind")
    for (near, level), rows in runs.groupby([kind, "noise"]):
        rank = ranks(rows[rows["arm"].isin(arms)])
        for arm, both in beside(rows, arms, keel.DEFAULT):
            by_table = both.groupby("dataset").mean()
            found = by_table["test_accuracy"]
            gain = found[keel.DEFAULT] - found[arm]
            records.append(
                {
                    "noise": f"{level}{near}",
                    "arm": arm,
                    "accuracy": f"{found[arm].mean():.3f}",
                    "ours minus it": "" if arm == keel.DEFAULT else cell(gain),
                    "wins": (gain > 0).sum(),
                    "losses": (gain < 0).sum(),
                    "lowest gain": f"{gain.min():+.3f}",
                    "mean rank": f"{rank[arm]:.1f}" if arm in rank else "",
                    "log loss": f"{by_table['test_loss'][arm].mean():.3f}",
                    "CPU s, ours 1": f"{relative_time(both, arm):.2f}",
                    "tables": len(by_table),
                    "runs": len(both),
                }
            )
    yield markdown("## Real tables", records)


def restart_tables(folder):
    """Write the table of what makes a cycle shorter than a new network."""
    runs = load(folder, restart.STUDY)
    records = []
    for level, rows in runs.groupby("noise"):
        for arm, both in beside(rows, restart.STUDY.arms, "ours"):
            found = both.groupby("dataset").mean()["test_accuracy"]
            epochs, seconds = both["epoch"].sum(), both["seconds"].sum()
            gain = found[arm] - found["ours"]
            records.append(
                {
                    "noise": level,
                    "arm": arm,
                    "accuracy": f"{found[arm].mean():.3f}",
                    "minus ours": "" if arm == "ours" else cell(gain),
                    "epochs, ours 1": f"{epochs[arm] / epochs['ours']:.2f}",
                    "CPU s, ours 1": f"{seconds[arm] / seconds['ours']:.2f}",
                    "runs": len(both),
                }
            )
    yield markdown("## What makes a cycle shorter than a new network", records)


def draw(folder):
    """Draw mean accuracy against CPU time, a panel for each noise.

    An arm that lacks a table is left out.
    """
    runs = load(folder, keel.STUDY)
    runs = runs[~runs["dataset"].str.endswith("-boundary")]
    fig, axes = plt.subplots(1, 3, figsize=(10, 4.8), layout="constrained", sharex=True)
    for ax, (level, title) in zip(axes, NOISES.items(), strict=True):
        rows = runs[runs["noise"] == level]
        for arm, both in beside(rows, DRAWN, keel.DEFAULT):
            accuracy = both.groupby("dataset").mean()["test_accuracy"][arm]
            if len(accuracy) < len(keel.NAMES):
                continue
            colour, marker, name = DRAWN[arm]
            style = {"color": colour, "marker": marker, "ls": "", "ms": 8}
            time = relative_time(both, arm)
            ax.plot(time, accuracy.mean(), **style, label=name)
        ax.set(title=title, xscale="log", xlabel="CPU time, ours 1")
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("mean accuracy on clean test labels")
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8)
    return fig


if __name__ == "__main__":
    print("\n".join(keel_tables(sys.argv[1])))
