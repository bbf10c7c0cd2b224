"""torch's state around a computation: its contexts kept out, and how many threads.

What sets the number of threads where (torch 2.13 for Linux, GNU OpenMP, MKL in torch):

- `torch.set_num_threads` sets it for the calling thread and for all threads that use
  torch later for the first time, not for those that have used it. To lower and restore
  it would leave a thread that begins meanwhile with the lower number for good.
- `omp_set_num_threads`, which threadpoolctl calls, sets the calling thread's alone.
  torch's operations and `torch.get_num_threads` follow it, unless it is the thread's
  first use of torch, which sets the process's number.
- MKL follows that too, unless `torch.set_num_threads` has been called in the process:
  it has then a number of its own in each thread.
- threadpoolctl's limit on BLAS reaches numpy's and scipy's, of the whole process, and
  not torch's.
"""

import ctypes
import threading
from contextlib import ExitStack, contextmanager
from functools import cache

import torch
from threadpoolctl import ThreadpoolController

# Floating-point operations of a batch's largest product from which on it gets several
# threads. Below, two on two cores saved two fifths of a step's time at most, and beside
# busy processes took up to 160 times as long; docs/speed.md has the table.
SEVERAL = 5e7

_calling_thread = threading.local()


@contextmanager
def plain_torch(device):
    """Compute as outside of inference mode, autocast and a default device not `device`.

    The grad mode is left as it is, which in inference mode is off.
    """
    device = torch.device(device)
    # each is left only where it is on: entering takes as long as a small prediction,
    # and under a default device every call of torch takes longer
    kinds = [kind for kind in {"cpu", device.type} if _is_autocast(kind)]
    # asked of a new tensor: torch 2.6's get_default_device does not know `with device`
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
    """Tell whether autocast is on for a kind of device."""
    return torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)


@contextmanager
def threads_for(operations):
    """Compute with the caller's number of threads, or with one where work is little.

    Other threads keep their numbers. Inside of another such context the caller's number
    is that from outside of all.
    """
    here = torch.get_num_threads()  # as a thread's first use of torch it sets it, too
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
    """Find the OpenMP libraries of the process; their numbers are the thread's own."""
    return ThreadpoolController().select(user_api="openmp")


@cache
def _mkl():
    """Find what sets MKL's number in a thread and returns the last; None without it."""
    try:
        # as its parts depend on MKL, if there is one, the name is found through them
        function = ctypes.CDLL(torch._C.__file__).MKL_Set_Num_Threads_Local
    except (AttributeError, OSError):
        return None
    function.argtypes, function.restype = [ctypes.c_int], ctypes.c_int
    return function
