"""States of trainings in files, from which a fit that was killed goes on to the bit."""

from sklearn_hessreg._checkpoint._callback import FitCheckpoint
from sklearn_hessreg._checkpoint._description import describe
from sklearn_hessreg._checkpoint._file import StateFile
from sklearn_hessreg._checkpoint._fingerprint import hash_array, versions
from sklearn_hessreg._checkpoint._memory import memory_of, remember

__all__ = [
    "FitCheckpoint",
    "StateFile",
    "describe",
    "hash_array",
    "memory_of",
    "remember",
    "versions",
]
