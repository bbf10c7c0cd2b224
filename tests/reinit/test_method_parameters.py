"""The method's hyperparameters: names, defaults and descriptions in one place."""

import inspect
from typing import get_args

from sklearn_hessreg import (
    HessianRegularizedMLPClassifier,
    HessianReinit,
)
from sklearn_hessreg._reinit._method_parameters import (
    PARAMETERS,
    document_parameters,
)
from sklearn_hessreg._reinit._redraw import INITIALIZERS
from sklearn_hessreg._typing import InitializerName


def test_names_of_initializers_are_those_of_the_type():
    assert tuple(INITIALIZERS) == get_args(InitializerName)


def test_defaults_of_the_callback_are_the_estimators_but_for_n():
    """In an MLP all layers are quickly scored, in any net the last one is."""
    faces = HessianReinit, HessianRegularizedMLPClassifier
    one, two = (inspect.signature(face).parameters for face in faces)
    differing = {name for name in PARAMETERS if one[name].default != two[name].default}
    assert differing == {"n"}


def test_docstring_names_all_initializers():
    assert all(f'``"{name}"``' in HessianReinit.__doc__ for name in INITIALIZERS)


def test_descriptions_stand_at_the_indentation_of_their_marker():
    @document_parameters()
    class Documented:
        """Something with a hyperparameter.

        Parameters
        ----------
        %(parameters)s
        """

        def __init__(self, scope="layer"):
            self.scope = scope

    assert inspect.getdoc(Documented).endswith(
        'scope : {"layer", "global"}, default="layer"\n'
        "    Take the top k percent in each layer, or of all ``n`` layers together."
    )
