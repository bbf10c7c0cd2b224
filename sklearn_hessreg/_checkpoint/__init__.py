"""Checkpoints: the state of a training in a file, for bit-exact resume."""

from sklearn_hessreg._checkpoint._callback_state import (
    callback_state,
    load_callback_state,
)
from sklearn_hessreg._checkpoint._description import describe
from sklearn_hessreg._checkpoint._file import StateFile
from sklearn_hessreg._checkpoint._fingerprint import hash_array, versions
from sklearn_hessreg._checkpoint._fit_checkpoint import FitCheckpoint

__all__ = [
    "FitCheckpoint",
    "StateFile",
    "callback_state",
    "describe",
    "hash_array",
    "load_callback_state",
    "versions",
]
