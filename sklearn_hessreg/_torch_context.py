"""Contain torch's state during a computation: outer contexts and number of threads.

How the number of threads is set (torch 2.13 for Linux, GNU OpenMP, MKL in torch):

- `torch.set_num_threads` sets it for the calling thread and for all threads that have
  not used torch yet, but not for those that have. Lowering it for a while would leave
  any thread that starts meanwhile with the lower number for good.
- `omp_set_num_threads`, which threadpoolctl calls, sets it for the calling thread only.
  torch's operations and `torch.get_num_threads` follow it, except at the thread's first
  use of torch, which sets the process's number.
- MKL follows it too, unless `torch.set_num_threads` has been called in the process.
  MKL then has its own number in each thread.
- threadpoolctl's BLAS limit applies to numpy's and scipy's BLAS, in the whole process,
  and not to torch's.
"""

import ctypes
import threading
from contextlib import ExitStack, contextmanager
from functools import cache

import torch
from threadpoolctl import ThreadpoolController

# From this many floating-point operations in its largest product a batch gets several
# threads. Below it, two threads on two cores saved at most two fifths of a step's time,
# and next to busy processes took up to 160 times as long; see the table in
# docs/speed.md.
SEVERAL = 5e7

_calling_thread = threading.local()


@contextmanager
def plain_torch(device):
    """Compute outside inference mode, autocast and any default device but `device`.

    The grad mode stays as it is; in inference mode that is off.
    """
    device = torch.device(device)
    # leave each only if it is on: entering a context takes as long as a small
    # prediction, and under a default device every torch call takes longer
    kinds = [kind for kind in {"cpu", device.type} if _is_autocast(kind)]
    # read from a new tensor: torch 2.6's get_default_device ignores `with device`
    moved = torch.empty(0).device not in (device, torch.device("cpu"))
    if not (kinds or moved or torch.is_inference_mode_enabled()):
        yield
        return
    grad = torch.is_grad_enabled()
    with ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.set_grad_enabled(grad))  # the line above set it
        for kind in kinds:
            stack.enter_context(torch.autocast(kind, enabled=False))
        if moved:
            stack.enter_context(device)
        yield


def _is_autocast(kind):
    """Return whether autocast is on for a kind of device."""
    return torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)


@contextmanager
def threads_for(operations):
    """Compute with the caller's number of threads, or with one for little work.

    Other threads keep their numbers. In nested contexts the caller's number is the one
    from outside all of them.
    """
    here = torch.get_num_threads()  # a thread's first use of torch also sets it
    given = getattr(_calling_thread, "given", here)
    number = 1 if operations < SEVERAL else given
    if number == here:
        yield
        return
    before = vars(_calling_thread).copy()
    _calling_thread.given = given
    mkl = _mkl()
    try:
        with _openmp().limit(limits=number):
            of_mkl = None if mkl is None else mkl(number)
            try:
                yield
            finally:
                if mkl is not None:
                    mkl(of_mkl)
    finally:
        vars(_calling_thread).clear()
        vars(_calling_thread).update(before)


@cache
def _openmp():
    """Find the OpenMP libraries of the process; each thread has its own number."""
    return ThreadpoolController().select(user_api="openmp")


@cache
def _mkl():
    """Find MKL's setter for this thread, which returns the old number, or None."""
    try:
        # torch's libraries depend on MKL, if present, so the name is found through them
        function = ctypes.CDLL(torch._C.__file__).MKL_Set_Num_Threads_Local
    except (AttributeError, OSError):
        return None
    function.argtypes, function.restype = [ctypes.c_int], ctypes.c_int
    return function
