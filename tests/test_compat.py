"""What is said where scikit-learn is older; where warnings point to."""

import runpy
import sys

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sklearn_hessreg._compat
from sklearn_hessreg import HessianRegularizedMLPClassifier

X = np.random.default_rng(0).normal(size=(20, 2))
Y = np.arange(20) % 2


def test_older_scikit_learn_is_named_when_callbacks_are_set(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.callback", None)
    mixin = runpy.run_path(sklearn_hessreg._compat.__file__)["CallbackSupportMixin"]
    with pytest.raises(ImportError, match=r"1\.9 or newer, this is .*skorch_callbacks"):
        mixin().set_callbacks()


def fit_alone(clf):
    clf.fit(X, Y)


def fit_in_pipeline(clf):
    make_pipeline(StandardScaler(), clf).fit(X, Y)


def fit_in_cross_validation(clf):
    cross_val_score(clf, X, Y, cv=2)


@pytest.mark.parametrize("use", [fit_alone, fit_in_pipeline, fit_in_cross_validation])
def test_warning_points_to_the_line_of_the_user(use):
    with pytest.warns(ConvergenceWarning) as caught:
        use(HessianRegularizedMLPClassifier(k=0, max_iter=1))
    assert {warning.filename for warning in caught} == {__file__}
    line = use.__code__.co_firstlineno + 1
    assert {warning.lineno for warning in caught} == {line}
