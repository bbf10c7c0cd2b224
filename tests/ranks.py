"""A program of checks on two processes that torchrun starts, and what came of each."""

import gc
import json
import os
import subprocess
import sys
import traceback
from datetime import timedelta
from pathlib import Path

import pytest
import torch.distributed as dist

TESTS = Path(__file__).parent


def torchrun(program, *arguments):
    """Run a program on two ranks of this machine, each with one thread."""
    options = ("--standalone", "--local-addr=127.0.0.1", "--nproc-per-node=2")
    paths = (str(TESTS.parent), str(TESTS), os.environ.get("PYTHONPATH", ""))
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *options, program, *arguments],
        env={
            **os.environ,
            "GLOO_SOCKET_IFNAME": "lo",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(paths),
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def rows_of_this_rank(first, n_rows):
    """Return a slice: the first rank has `first` rows, the others share the rest."""
    rank, others = dist.get_rank(), dist.get_world_size() - 1
    ends = [0, *(first + (n_rows - first) * i // others for i in range(others + 1))]
    return slice(*ends[rank : rank + 2])


def on_all_ranks(value):
    """Return what all ranks have."""
    found = [None] * dist.get_world_size()
    dist.all_gather_object(found, value)
    return found


def outcomes_on_two_ranks(program, folder):
    """Run a program of tests/ on two ranks; return what tells, by rank, how it went."""
    done = torchrun(TESTS / program, folder)
    files = [folder / f"{rank}.json" for rank in range(2)]
    ranks = [json.loads(file.read_text()) if file.exists() else {} for file in files]
    return lambda check: [failed.get(check, done.stderr) for failed in ranks]


def run_checks(checks):
    """Call functions by their names on this rank, and write down what failed."""
    dist.init_process_group("gloo", timeout=timedelta(seconds=60))
    path, failed = Path(sys.argv[1]) / f"{dist.get_rank()}.json", {}
    for name, check in checks.items():
        try:
            check()
            failed[name] = None
        except (Exception, pytest.fail.Exception):
            failed[name] = traceback.format_exc()
        path.write_text(json.dumps(failed))
        dist.barrier()
    gc.collect()  # gloo aborts where a DistributedDataParallel outlives the group
    dist.destroy_process_group()
