"""Command line of the studies, and their runs: resumable, in worker processes."""

import argparse
import sys
import warnings
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from study.results import FOLDER, append, file_of, finished


def epochs_of(arm, epochs):
    """Return the epochs of an arm: five times as many if it is called long."""
    return 5 * epochs if "long" in arm.split() else epochs


@dataclass
class Study:
    """A study's name, what is varied, and how long is trained.

    `run(key, epochs, quick)` makes one run and returns a list of rows with `columns`;
    a key is (dataset, noise, arm, seed). A data set has a file of its own, or all are
    in one, if that has a name, `file`.
    """

    name: str
    run: callable
    columns: list
    datasets: tuple
    noises: tuple
    arms: list
    seeds: int
    epochs: int
    file: str | None = None

    def path(self, folder, dataset):
        """Name the file of a data set."""
        return file_of(folder, self.name, self.file or dataset)

    def keys(self, options):
        """List the runs that the options ask for, the arms of a seed together."""
        return [
            (dataset, noise, arm, seed)
            for dataset in options.dataset
            for seed in options.seeds
            for noise in options.noise
            for arm in options.arms
        ]

    def main(self, argv=None):
        """Run the study as the command line says."""
        execute(self, parse(self, argv))


def parse(study, argv=None, add=None):
    """Read the command line of a study; `add(parser)` may add options."""
    parser = argparse.ArgumentParser(
        description=sys.modules[study.run.__module__].__doc__
    )
    parser.add_argument("--dataset", nargs="+", choices=study.datasets)
    parser.add_argument("--noise", nargs="+", type=float, help=f"of {study.noises}")
    parser.add_argument(
        "--arms", nargs="+", help="names, or patterns such as 'ours*' for some of all"
    )
    parser.add_argument("--seeds", nargs="+", type=int, help=f"of {study.seeds}")
    parser.add_argument("--epochs", type=int, help=f"{study.epochs} by default")
    parser.add_argument("--jobs", type=int, default=1, help="worker processes")
    parser.add_argument("--results", type=Path, default=FOLDER, help="folder of CSV")
    parser.add_argument("--quick", action="store_true", help="toy size, in seconds")
    if add is not None:
        add(parser)
    options = parser.parse_args(argv)
    own_size = options.quick or options.epochs not in (None, study.epochs)
    if own_size and options.results == FOLDER:
        parser.error("--quick and --epochs need another folder: --results FOLDER")
    options.arms = _select(options.arms, study.arms)
    options.dataset = options.dataset or study.datasets
    options.noise = options.noise or study.noises[: 1 if options.quick else None]
    options.seeds = options.seeds or range(2 if options.quick else study.seeds)
    options.epochs = options.epochs or (2 if options.quick else study.epochs)
    return options


def _select(patterns, arms):
    """Take the arms that match; what matches none is an arm of the user's own."""
    if patterns is None:
        return arms
    chosen = [arm for arm in arms if any(fnmatchcase(arm, p) for p in patterns)]
    return chosen + [p for p in patterns if not any(fnmatchcase(a, p) for a in arms)]


def execute(study, options):
    """Make all runs that are not in the files yet, and add each as it is finished.

    A run that fails is reported and left out; the others go on.
    """
    keys = study.keys(options)
    done = set()
    for dataset in options.dataset:
        done |= finished(study.path(options.results, dataset))
    pending = [key for key in keys if key not in done]
    work = Parallel(n_jobs=options.jobs, return_as="generator_unordered")(
        delayed(_attempt)(study.run, key, options.epochs, options.quick)
        for key in pending
    )
    failed = 0
    with tqdm(total=len(keys), initial=len(keys) - len(pending), unit="run") as bar:
        for key, rows, error in work:
            if error is None:
                path = study.path(options.results, key[0])
                append(path, key, rows, study.columns)
            else:
                failed += 1
                bar.write(f"{key} failed: {error}", file=sys.stderr)
            bar.set_postfix_str(" ".join(map(str, key)), refresh=False)
            bar.update()
    if failed:
        sys.exit(f"{failed} runs failed; the same command tries them again.")


def _attempt(run, key, epochs, quick):
    """Make a run in one thread; return its key, rows and error."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    # penalised weights and Adam's moments fade into numbers so small that a processor
    # takes ten times as long over them
    torch.set_flush_denormal(True)
    try:
        with threadpool_limits(1), warnings.catch_warnings():
            # too few epochs, or too many, are on purpose, and so is what n=3 costs
            warnings.filterwarnings("ignore", message=".*Maximum iterations")
            warnings.filterwarnings("ignore", message="The exact Hessian")
            return key, run(key, epochs, quick), None
    except (ValueError, ImportError) as error:
        return key, None, error
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(threads)
