"""A program of checks on two processes that torchrun starts, and what came of each."""

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


def outcomes_on_two_ranks(program, folder):
    """Start a file of tests/ on two ranks; return what tells, by rank, how it went."""
    options = ("--standalone", "--local-addr=127.0.0.1", "--nproc-per-node=2")
    command = (sys.executable, "-m", "torch.distributed.run", *options)
    paths = (str(TESTS.parent), str(TESTS), os.environ.get("PYTHONPATH", ""))
    done = subprocess.run(
        [*command, TESTS / program, folder],
        env={
            **os.environ,
            "GLOO_SOCKET_IFNAME": "lo",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(paths),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
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
    dist.destroy_process_group()
