"""The method's hyperparameters: names, defaults and descriptions in one place."""

import inspect
import re
from typing import get_args

import pytest

from sklearn_hessreg import HessianReinit
from sklearn_hessreg._hessian import AGGREGATIONS, CURVATURES
from sklearn_hessreg._reinit._parameters import (
    OF_THE_CALLBACK,
    PARAMETERS,
    document_parameters,
)
from sklearn_hessreg._reinit._redraw import INITIALIZERS
from sklearn_hessreg._typing import Aggregation, Curvature, InitializerName


@pytest.mark.parametrize(
    ("names", "type_"),
    [
        (INITIALIZERS, InitializerName),
        (AGGREGATIONS, Aggregation),
        (CURVATURES, Curvature),
    ],
    ids=["initializer", "aggregation", "curvature"],
)
def test_names_are_those_of_the_types(names, type_):
    assert tuple(names) == get_args(type_)


@pytest.mark.parametrize("name", PARAMETERS | OF_THE_CALLBACK)
def test_described_default_is_that_of_the_callback(name):
    default = inspect.signature(HessianReinit).parameters[name].default
    assert (PARAMETERS | OF_THE_CALLBACK)[name].default == default


def test_docstring_describes_all_parameters_in_the_order_of_the_signature():
    entries = re.findall(r"(?m)^    (\w+) : .*default=", HessianReinit.__doc__)
    assert entries == list(inspect.signature(HessianReinit).parameters)


def test_docstring_names_all_initializers():
    assert all(f'``"{name}"``' in HessianReinit.__doc__ for name in INITIALIZERS)


def test_descriptions_stand_at_the_indentation_of_their_marker():
    @document_parameters
    class Documented:
        """Something with a hyperparameter.

        Parameters
        ----------
        %(scope)s
        """

    assert inspect.getdoc(Documented).endswith(
        'scope : {"layer", "global"}, default="layer"\n'
        "    Take the top k percent in each layer, or of all ``n`` layers together."
    )
