"""Checkpoints: the state of a training in a file, for bit-exact resume."""

from sklearn_hessreg._state._callback_state import load_callback_state
from sklearn_hessreg._state._description import describe, hash_array, versions
from sklearn_hessreg._state._file import StateFile
from sklearn_hessreg._state._fit_checkpoint import FitCheckpoint
from sklearn_hessreg._state._generators import capture_own_generators
