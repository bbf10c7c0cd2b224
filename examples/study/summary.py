"""The tables of the study in Markdown, from the CSV files alone."""

import argparse
from pathlib import Path

import pandas as pd
from scipy.integrate import trapezoid

from study import (
    keel,
    label_quality,
    paper,
    regression,
    rivals,
    robust_loss,
    tables,
)
from study.analysis import differences, load
from study.comparisons import REGRESSED, TABLES
from study.keel_summary import beside, keel_tables, kind_of_noise, restart_tables
from study.markdown import cell, compare, describe, markdown
from study.results import FOLDER

LEVEL = 0.97  # accuracy to be reached in the paper's experiment


def small_tables(folder):
    """Write the tables of the defaults on small tables."""
    runs = load(folder, tables.STUDY)
    rows = runs.dropna(subset="test_accuracy")  # a rival may not take the labels
    records = compare(rows, TABLES, ["test_accuracy"])
    yield markdown("## Defaults on small tables", records)


def by_classes(dataset):
    """Group a table by its number of classes."""
    classes = keel.CLASSES.get(dataset.removesuffix("-boundary"), 2)
    return "2" if classes == 2 else "3 to 4" if classes < 5 else "5 and more"


def robust_loss_tables(folder):
    """Write the tables of the generalised cross-entropy, minus the cross-entropy."""
    runs = load(folder, keel.STUDY)
    kind = runs["dataset"].map(kind_of_noise).rename("kind")
    classes = runs["dataset"].map(by_classes).rename("classes")
    records = []
    for (near, level, group), rows in runs.groupby([kind, "noise", classes]):
        gain = differences(rows, "gce", keel.DEFAULT, "test_accuracy")
        if not len(gain):
            continue
        by_table = gain.groupby("dataset").mean()
        records.append(
            {
                "noise": f"{level}{near}",
                "classes": group,
                "gce minus log_loss": cell(by_table),
                "better": (by_table > 0).sum(),
                "worse": (by_table < 0).sum(),
                "tables": len(by_table),
                "runs": len(gain),
            }
        )
    yield markdown("## Generalised cross-entropy on the real tables", records)
    rows = load(folder, robust_loss.STUDY)
    pairs = [
        ("gce", "ours"),
        ("gce", "gce, random weights"),
        ("ours", "ours, random weights"),
    ]
    records = compare(rows, pairs, ["test_accuracy"])
    yield markdown("### On four data sets, and what the Hessian knows", records)
    columns = {"accuracy": lambda runs: cell(runs["test_accuracy"])}
    yield markdown("### All arms of the losses", describe(rows, columns))


def label_quality_tables(folder):
    """Write the table of finding wrong labels: means over data sets, by kind of noise.

    A win is a data set in which ours has the larger area under the ROC curve.
    """
    runs = load(folder, label_quality.STUDY)
    kind = runs["dataset"].map(label_quality.kind).rename("kind")
    records = []
    for (near, level), rows in runs.groupby([kind, "noise"]):
        ours = label_quality.OURS
        for arm, both in beside(rows, label_quality.STUDY.arms, ours):
            found = both.groupby("dataset").mean()
            gain = found["auc"][ours] - found["auc"][arm]
            records.append(
                {
                    "wrong labels": f"{near}, {level:.0%}",
                    "arm": arm,
                    "AUC": f"{found['auc'][arm].mean():.3f}",
                    "precision": f"{found['precision'][arm].mean():.3f}",
                    "ours minus it": "" if arm == ours else cell(gain),
                    "wins": f"{(gain > 0).sum()} of {len(gain)}",
                    "CPU s": f"{both['seconds'][arm].mean():.1f}",
                    "runs": len(both),
                }
            )
    yield markdown("## Which labels are wrong", records)


def regression_tables(folder):
    """Write the tables of wrong targets in regression."""
    rows = load(folder, regression.STUDY)
    records = compare(rows, REGRESSED, ["test_error", "test_r2"])
    yield markdown("## Wrong targets in regression", records)


def paper_measures(rows):
    """Reduce each run of the paper's experiment to one row.

    A run that never reaches the level is counted as if it did one epoch after its end.
    """
    records = []
    for key, run in rows.groupby(["dataset", "noise", "arm", "seed"], sort=False):
        run = run.sort_values("epoch")
        reached = run.loc[run["test_accuracy"] >= LEVEL, "epoch"]
        after = run["test_accuracy_after"] - run["test_accuracy"]
        records.append(
            dict(zip(("dataset", "noise", "arm", "seed"), key, strict=True))
            | {
                "final accuracy": run["test_accuracy"].iloc[-1],
                "area under accuracy": trapezoid(run["test_accuracy"])
                / max(1, len(run) - 1),
                f"epochs to {LEVEL}": reached.min() if len(reached) else len(run) + 1,
                "final training loss": run["train_loss"].iloc[-1],
                "drop at re-initialisation": after.mean(),
            }
        )
    return pd.DataFrame(records)


def paper_tables(folder):
    """Write the tables of the paper's experiment."""
    rows = load(folder, paper.STUDY)
    title = "## The paper's experiment, paired differences to k=0"
    if not len(rows):
        yield markdown(title, [])
    else:
        measures = paper_measures(rows)
        names, last = list(measures.columns[4:]), rows["epoch"].max()
        pairs = [
            (arm, f"{arm.split()[0]} k=0")
            for arm in measures["arm"].unique()
            if not arm.endswith("k=0")
        ]
        yield markdown(title, compare(measures, pairs, names[:-1]))
        records = [
            {"arm": arm}
            | {name: cell(runs[name], 4) for name in names}
            | {"runs": len(runs), f"never {LEVEL}": (runs[names[2]] > last).sum()}
            for arm, runs in measures.groupby("arm", sort=False)
        ]
        yield markdown("### All arms of the paper's experiment", records)


def main(argv=None):
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=FOLDER, help="folder of CSV")
    folder = parser.parse_args(argv).results
    for write in (
        keel_tables,
        restart_tables,
        robust_loss_tables,
        label_quality_tables,
        rivals.tables,
        small_tables,
        paper_tables,
        regression_tables,
    ):
        print("\n".join(write(folder)))


if __name__ == "__main__":
    main()
