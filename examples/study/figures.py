"""The figures of the study, drawn from the CSV files alone, and the drawing."""

import argparse
from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from study import average, drawing, noise, paper, rivals, stream
from study.analysis import CASE, differences, final, interval, load
from study.arms import OURS
from study.comparisons import COMPARISONS, STREAMED
from study.labels import DATASETS, label, share, who
from study.results import FOLDER
from study.summary import horizons

# Okabe and Ito's colours, told apart by colour-blind readers; the dashes and markers
# tell them apart without colour.
COLOURS = ["#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"]
DASHES = ["-", "-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1))]
MARKERS = "osD^vPX"
CURVES = [
    "none",
    "ours n=3 k=10",
    "random n=3 k=10",
    "magnitude n=3 k=10",
    "dropout tuned",
    "weight_decay tuned",
    "ours n=3 k=30 every=auto per_sample",
]
AVERAGE_CURVES = [
    "none",
    "ours n=3 k=10 per_sample",
    "random n=3 k=30 every=auto",
    "magnitude n=3 k=30 every=auto",
    "ours n=3 k=30 every=auto per_sample",
]
STREAM_CURVES = ["none", *dict.fromkeys(pair[0] for pair in STREAMED)]
STREAM_CURVES += [arm for _, arm in STREAMED if arm not in STREAM_CURVES]


def draw_curves(ax, rows, arms, column, name=label):
    """Draw a column by epoch for each arm: the mean, and the range over the seeds."""
    for style, arm in enumerate(arms):
        runs = rows[rows["arm"] == arm].groupby("epoch")[column]
        if not len(runs):
            continue
        mean = runs.mean().dropna()
        colour = COLOURS[style]
        ax.plot(mean, color=colour, ls=DASHES[style], lw=1.6, label=name(arm))
        ax.fill_between(
            mean.index,
            runs.min()[mean.index],
            runs.max()[mean.index],
            color=colour,
            alpha=0.12,
            lw=0,
        )


def with_tuned_curves(rows):
    """Add the whole runs of what was chosen at the end as runs of the tuned arms."""
    ends = final(rows, horizons(rows)[-1])
    chosen = ends[ends["arm"].str.endswith(" tuned")]
    pieces = [rows]
    for name, some in chosen.groupby("arm"):
        wanted = some[[*CASE, "chosen"]].rename(columns={"chosen": "arm"})
        pieces.append(rows.merge(wanted, on=[*CASE, "arm"]).assign(arm=name))
    return pd.concat(pieces, ignore_index=True)


def draw_noise(rows, dataset):
    """Draw accuracy on clean and on noisy labels by epoch, for each noise."""
    rows = with_tuned_curves(rows[rows["dataset"] == dataset])
    levels = sorted(rows["noise"].unique())
    fig, axes = _panels(2, len(levels), 3.4, 2.7, sharex=True, sharey="row")
    for (i, column), (j, level) in product(
        enumerate(["test_accuracy", "train_accuracy"]), enumerate(levels)
    ):
        draw_curves(axes[i, j], rows[rows["noise"] == level], CURVES, column)
        axes[0, j].set_title(f"{100 * level:.0f} % wrong labels")
        axes[1, j].set_xlabel("epoch")
    for (left, *_), bottom in zip(axes, (0.45, 0.4), strict=True):
        left.set_ylim(bottom=bottom)  # dropout of high strength begins below
    axes[0, 0].set_ylabel("accuracy, clean test labels")
    axes[1, 0].set_ylabel("accuracy, training labels")
    _legend_below(fig)
    fig.suptitle(f"{DATASETS[dataset]}: mean and range over the seeds")
    return fig


def draw_comparisons(rows):
    """Draw the comparisons stated beforehand, with their intervals."""
    epochs, levels = horizons(rows), sorted(rows["noise"].unique())
    datasets = list(rows["dataset"].unique())
    fig, axes = _panels(len(epochs), len(levels), 2.5, 2.6, sharex=True, sharey=True)
    labels = [f"{who(first)}\nminus {who(second)}" for first, second in COMPARISONS]
    for (i, epoch), (j, level) in product(enumerate(epochs), enumerate(levels)):
        ax, table = axes[i, j], final(rows, epoch)
        ax.axvline(0, color="0.5", lw=1)
        ax.set_title(f"{100 * level:.0f} % wrong, epoch {epoch:g}", fontsize="medium")
        for (d, dataset), (y, pair) in product(
            enumerate(datasets), enumerate(COMPARISONS)
        ):
            some = table[(table["noise"] == level) & (table["dataset"] == dataset)]
            found = differences(some, *pair, "test_accuracy")
            _draw_interval(ax, found, y + 0.18 * (d - 1.5), d, DATASETS[dataset])
    axes[0, 0].set_yticks(range(len(labels)), labels)
    axes[0, 0].invert_yaxis()
    for ax in axes[-1]:
        ax.set_xlabel("difference in accuracy")
    _legend_below(fig)
    fig.suptitle(f"{share(n=3, k=10)} redrawn after every epoch, or tuned")
    return fig


def draw_settings(rows):
    """Draw the final accuracy of ours by n, k, schedule, state and granularity."""
    level = rows["noise"].max()
    datasets = list(rows["dataset"].unique())
    fig, axes = _panels(-(-len(datasets) // 2), 2, 3.2, 3.6, sharey=True)
    table = final(rows[rows["noise"] == level], horizons(rows)[-1])
    kinds = {
        "": "after every epoch",
        " every=auto": "after every 100 batches",
        " reset": "every epoch, optimizer reset",
        " unit": "every epoch, whole units",
        " reset unit": "every epoch, whole units, optimizer reset",
    }
    for ax, dataset in zip(axes.flat, datasets, strict=False):
        runs = table[table["dataset"] == dataset].groupby("arm")["test_accuracy"]
        groups = dict(iter(runs))
        if "none" in groups:
            ax.axvline(
                groups["none"].mean(), color="0.4", ls="--", label="plain training"
            )
        for (style, kind), (y, arm) in product(enumerate(kinds), enumerate(OURS)):
            found = groups.get(arm + kind, [])
            _draw_interval(ax, found, y + 0.16 * (style - 2), style + 1, kinds[kind])
        ax.set(title=DATASETS[dataset], xlabel="accuracy at the end")
    names = [label(arm).partition(", ")[2] for arm in OURS]
    axes[0, 0].set_yticks(range(len(OURS)), names)
    axes[0, 0].invert_yaxis()
    _legend_below(fig)
    fig.suptitle(f"{100 * level:.0f} % wrong labels: mean and 95 % interval")
    return fig


def draw_average(rows):
    """Draw the accuracy of single and of averaged networks by epoch."""
    level, networks = rows["noise"].max(), average.NETWORKS[-1]
    rows = rows[rows["noise"] == level]
    datasets = list(rows["dataset"].unique())
    fig, axes = _panels(-(-len(datasets) // 2), 2, 3.4, 2.7)
    for ax, dataset in zip(axes.flat, datasets, strict=False):
        some = rows[rows["dataset"] == dataset]
        draw_curves(ax, some, AVERAGE_CURVES, f"test_accuracy_{networks}")
        for style, arm in enumerate(AVERAGE_CURVES):
            one = some[some["arm"] == arm].groupby("epoch")["test_accuracy"].mean()
            ax.plot(one, color=COLOURS[style], lw=0.6)
        ax.set(title=DATASETS[dataset], xlabel="epoch")
    for ax in axes[:, 0]:
        ax.set_ylabel("accuracy, clean test labels")
    _legend_below(fig)
    fig.suptitle(
        f"{100 * level:.0f} % wrong labels, the last {networks} networks averaged "
        "(thin: one alone)"
    )
    return fig


def draw_stream(rows):
    """Draw the accuracy on each chunk before it is learned."""
    datasets = list(rows["dataset"].unique())
    rows = rows.sort_values("epoch", kind="stable")
    smooth = rows.groupby(["dataset", "arm", "seed"])["test_accuracy"]
    rows = rows.assign(
        smooth=smooth.transform(lambda run: run.rolling(5, min_periods=1).mean())
    )
    fig, axes = _panels(1, len(datasets), 3.4, 3.2, sharey=True)
    for ax, dataset in zip(axes[0], datasets, strict=True):
        draw_curves(ax, rows[rows["dataset"] == dataset], STREAM_CURVES, "smooth")
        ax.set(title=DATASETS[dataset], xlabel="chunk of the stream")
    axes[0, 0].set_ylabel("accuracy before learning,\nmean of five chunks")
    _legend_below(fig)
    return fig


def draw_paper(rows, n):
    """Draw accuracy and loss by epoch for each k, before and after re-initialising."""
    fig, axes = _panels(4, len(paper.SOLVERS), 3.6, 2.1, sharex=True, sharey="row")
    columns = {
        "test_accuracy": "test accuracy,\nend of epoch",
        "test_accuracy_after": "test accuracy,\nright after redrawing",
        "train_loss": "training loss,\nend of epoch",
        "train_loss_after": "training loss,\nright after redrawing",
    }
    for (i, column), (j, solver) in product(
        enumerate(columns), enumerate(paper.SOLVERS)
    ):
        arms = [f"{solver} k=0", *[f"{solver} n={n} k={k}" for k in paper.K]]
        draw_curves(axes[i, j], rows, arms, column, _percent)
        axes[0, j].set_title({"adam": "Adam", "sgd": "SGD"}[solver])
        axes[-1, j].set_xlabel("epoch")
    for ax, (column, name) in zip(axes[:, 0], columns.items(), strict=True):
        ax.set_ylabel(name)
        ax.set_yscale("log" if "loss" in column else "linear")
    _legend_below(fig)
    where = "the last layer" if n == 1 else f"the last {n} layers"
    fig.suptitle(f"The paper's experiment, {where}: mean and range over the seeds")
    return fig


def _percent(arm):
    """Say of an arm of the paper's experiment how much is redrawn."""
    k = arm.partition("k=")[2]
    return "plain training" if k == "0" else f"{k} % redrawn"


def _draw_interval(ax, values, y, style, label):
    """Draw a mean with its 95 % interval at height y."""
    if len(values):
        mean, low, high = interval(values)
        ax.plot([low, high], [y, y], color=COLOURS[style], lw=1.5)
        marker = {"marker": MARKERS[style], "ls": "", "ms": 4}
        ax.plot(mean, y, color=COLOURS[style], label=label, **marker)


def _panels(rows, columns, width, height, **shared):
    """Make a grid of axes; each panel has the given size in inches."""
    size = (max(width * columns, 4.5), height * rows + 0.9)
    return plt.subplots(
        rows, columns, figsize=size, squeeze=False, layout="constrained", **shared
    )


def _legend_below(fig):
    """Put one legend of all panels below them, as wide as the figure allows."""
    entries = {}
    for ax in fig.axes:
        handles, labels = ax.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    width = 0.7 + 0.08 * max(map(len, entries))  # inches of the widest entry
    columns = max(1, int(fig.get_figwidth() // width))
    where = {"loc": "outside lower center", "ncols": columns}
    fig.legend(entries.values(), entries.keys(), fontsize=9, **where)


def draw_all(results):
    """Yield the name and the figure of whatever there are results of."""
    yield "cycle", drawing.draw()
    if any(Path(results).glob("cycles_*.csv")):
        yield "cycles", rivals.draw(results)
        yield "first", rivals.draw_one(results)
    rows = load(results, noise.STUDY)
    if len(rows):
        for dataset in rows["dataset"].unique():
            yield f"noise_{dataset}", draw_noise(rows, dataset)
        yield "comparisons", draw_comparisons(rows)
        yield "settings", draw_settings(rows)
    rows = load(results, average.STUDY)
    if len(rows):
        yield "average", draw_average(rows)
    rows = load(results, stream.STUDY)
    if len(rows):
        yield "stream", draw_stream(rows)
    rows = load(results, paper.STUDY)
    for n in (1, 2):
        if rows["arm"].str.contains(f" n={n} ").any():
            yield f"paper_n{n}", draw_paper(rows, n)


def main(argv=None):
    """Draw all figures into a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=FOLDER, help="folder of CSV")
    parser.add_argument("--figures", type=Path, default=FOLDER.parent / "figures")
    options = parser.parse_args(argv)
    options.figures.mkdir(parents=True, exist_ok=True)
    for name, fig in draw_all(options.results):
        fig.savefig(options.figures / f"{name}.png", dpi=150)
        plt.close(fig)
        print(options.figures / f"{name}.png")


if __name__ == "__main__":
    main()
