"""When weights are re-initialised, which, and how: the method for skorch nets."""

from sklearn_hessreg._reinit._callback import (
    AUTO_UPDATES,
    PARAMETER_CONSTRAINTS,
    HessianReinit,
)
from sklearn_hessreg._reinit._redraw import reduce_units, select_top_k

__all__ = [
    "AUTO_UPDATES",
    "PARAMETER_CONSTRAINTS",
    "HessianReinit",
    "reduce_units",
    "select_top_k",
]
