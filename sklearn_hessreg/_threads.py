"""How many threads torch computes with: one in the calling thread for small products.

What sets the number where (torch 2.13 for Linux, GNU OpenMP, MKL in torch):

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
from contextlib import contextmanager
from functools import cache

import torch
from threadpoolctl import ThreadpoolController

# Floating-point operations of a batch's largest product from which on it gets several
# threads. Below, two on two cores saved two fifths of a step's time at most, and beside
# busy processes took up to 160 times as long; docs/speed.md has the table.
SEVERAL = 5e7

_calling_thread = threading.local()


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
