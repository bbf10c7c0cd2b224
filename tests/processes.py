"""Processes that one server forks, which has imported torch and the package once."""

import multiprocessing
import os
import pickle
import signal
import sys
from concurrent.futures import ProcessPoolExecutor

import pytest
import torch

LIMIT = 600  # seconds until a process that hangs is ended
posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
_CONTEXT = multiprocessing.get_context("forkserver" if hasattr(os, "fork") else "spawn")
if hasattr(os, "fork"):
    # with the compiler, which torch imports in the first step of SGD
    _CONTEXT.set_forkserver_preload(["sklearn_hessreg", "pytest", "torch._dynamo"])


def imported_modules():
    """Name what this process has imported."""
    return list(sys.modules)


def call_in_process(function, *args):
    """Call a function in a process of its own; return its result or raise its error."""
    (result,) = call_in_processes(function, [args])
    return result


def call_in_processes(function, argument_lists):
    """Call a function in one process for each list of arguments, at the same time."""
    n = len(argument_lists)
    with ProcessPoolExecutor(n, _CONTEXT, max_tasks_per_child=1) as pool:
        # pickled here: multiprocessing moves tensors to other memory when it pickles
        given = [pickle.dumps((function, args)) for args in argument_lists]
        return [pickle.loads(end) for end in pool.map(_call, given)]


def _call(pickled):
    torch.set_num_threads(1)  # processes with several cannot fork
    if hasattr(signal, "alarm"):
        signal.alarm(LIMIT)
    function, args = pickle.loads(pickled)
    return pickle.dumps(function(*args))
