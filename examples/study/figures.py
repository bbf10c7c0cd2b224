"""The figures of the study, drawn from the CSV files alone, and the drawing."""

import argparse
from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt

from study import drawing, keel_summary, paper, rivals
from study.analysis import load
from study.results import FOLDER

# Okabe and Ito's colours, told apart by colour-blind readers; the dashes
# tell them apart without colour.
COLOURS = ["#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"]
DASHES = ["-", "-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1))]


def draw_curves(ax, rows, arms, column, name):
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
    if any(Path(results).glob("keel_*.csv")):
        yield "accuracy_by_time", keel_summary.draw(results)
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
