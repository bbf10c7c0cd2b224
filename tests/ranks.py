"""Programs on several ranks of this machine, and which of their checks failed."""

import gc
import os
import runpy
import subprocess
import sys
import traceback
from contextlib import redirect_stdout
from datetime import timedelta
from importlib import import_module
from io import StringIO
from pathlib import Path

import pytest
import torch.distributed as dist
from processes import call_in_processes

ROOT = Path(__file__).parents[1]


def torchrun(program):
    """Run a program on two ranks, as a user does, each with one thread."""
    options = ("--standalone", "--local-addr=127.0.0.1", "--nproc-per-node=2")
    paths = (str(ROOT), os.environ.get("PYTHONPATH", ""))
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *options, program],
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


def call_on_ranks(function, *args, size=2):
    """Call a function on all ranks; return what it returned on each."""
    # torchrun, too, keeps the store where ranks meet in a process of its own
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    places = [_environment(rank, size, store.port) for rank in range(size)]
    return call_in_processes(_call_as_rank, [(p, function, args) for p in places])


def _environment(rank, size, port):
    """Return the variables by which torchrun tells a process its rank."""
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "GLOO_SOCKET_IFNAME": "lo",
    }


def _call_as_rank(environment, function, args):
    os.environ.update(environment)
    return function(*args)


def run_program(program, folder):
    """Run a program in a folder and return what it prints."""
    os.chdir(folder)
    with redirect_stdout(StringIO()) as printed:
        runpy.run_path(str(program), run_name="__main__")
    return printed.getvalue()


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


def failures(module):
    """Call the checks of a module on this rank; return the failures by name."""
    dist.init_process_group("gloo", timeout=timedelta(seconds=60))
    failed = {}
    for name, check in import_module(module).CHECKS.items():
        try:
            check()
            failed[name] = None
        except (Exception, pytest.fail.Exception):
            failed[name] = traceback.format_exc()
        dist.barrier()
    gc.collect()  # gloo aborts where a DistributedDataParallel outlives the group
    dist.destroy_process_group()
    return failed
