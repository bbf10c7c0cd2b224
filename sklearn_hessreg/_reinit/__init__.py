"""The method for skorch nets: when to re-initialise weights, which ones, and how."""

from sklearn_hessreg._reinit._averaging import SnapshotAveragingMixin
from sklearn_hessreg._reinit._cycles import Snapshot, epochs_between, read_monitor
from sklearn_hessreg._reinit._hessian_reinit import HessianReinit
from sklearn_hessreg._reinit._method_parameters import (
    PARAMETER_CONSTRAINTS,
    Parameter,
    document_parameters,
)
from sklearn_hessreg._reinit._redraw import reduce_units, select_top_k
from sklearn_hessreg._reinit._snapshots import take_weights, write_weights
