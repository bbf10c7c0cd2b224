"""What is said where scikit-learn is older."""

import runpy
import sys

import pytest

import sklearn_hessreg._compat


def test_older_scikit_learn_is_named_when_callbacks_are_set(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.callback", None)
    mixin = runpy.run_path(sklearn_hessreg._compat.__file__)["CallbackSupportMixin"]
    with pytest.raises(ImportError, match=r"1\.9 or newer, this is .*skorch_callbacks"):
        mixin().set_callbacks()
