"""A program of checks on two processes that torchrun starts, and what came of each."""

import json
import os
import subprocess
import sys
import traceback
from datetime import timedelta
from pathlib import Path

import torch.distributed as dist

TESTS = Path(__file__).parent


def outcomes_on_two_ranks(program, folder):
    """Start a file of tests/ on two ranks; return by check what failed, by rank."""
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
    assert done.returncode == 0, done.stderr
    ranks = [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]
    return {check: [failed[check] for failed in ranks] for check in ranks[0]}


def run_checks(checks):
    """Call functions by their names on this rank, and write down what failed."""
    dist.init_process_group("gloo", timeout=timedelta(seconds=60))
    failed = {}
    for name, check in checks.items():
        try:
            check()
            failed[name] = None
        except Exception:
            failed[name] = traceback.format_exc()
        dist.barrier()
    path = Path(sys.argv[1]) / f"{dist.get_rank()}.json"
    path.write_text(json.dumps(failed))
    dist.destroy_process_group()
