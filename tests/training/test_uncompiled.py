"""What a process that trains by Adam or only predicts does not import."""

import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from settings import PLAIN
from sklearn.exceptions import ConvergenceWarning
from training_cases import X, Y

from sklearn_hessreg import HessianRegularizedMLPClassifier

PROGRAM = """
import pickle, sys, warnings
import sklearn_hessreg
before = set(sys.modules)  # torch 2.6 imports sympy itself
warnings.simplefilter("ignore")
for clf, X, y, does in pickle.load(sys.stdin.buffer):
    if does == "fit":
        pickle.loads(pickle.dumps(clf.fit(X, y)))
    clf.predict(X)
    new = set(sys.modules) - before
    print("torch._dynamo" in sys.modules, "sympy" in new, sep="|")
"""
CASES = [("fit", "adam"), ("fit", "lbfgs"), ("predict", "adam"), ("predict", "sgd")]


def make(does, solver):
    options = {**PLAIN, "max_iter": 3, "k": 20, "reinit_every": 1, "solver": solver}
    clf = HessianRegularizedMLPClassifier((8,), random_state=0, **options)
    return clf.fit(X, Y) if does == "predict" else clf


@pytest.fixture(scope="module")
def imported():
    """Run all cases, one after the other, in a process of their own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        given = [(make(*case), X, Y, case[0]) for case in CASES]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=pickle.dumps(given),
        capture_output=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    answers = [line.split("|") for line in done.stdout.decode().split()]
    return dict(zip(CASES, answers, strict=True))


@pytest.mark.parametrize("case", CASES, ids=" by ".join)
def test_the_compiler_is_not_imported_to(case, imported):
    assert imported[case][0] == "False"


@pytest.mark.parametrize("case", CASES, ids=" by ".join)
def test_sympy_is_not_imported_to(case, imported):
    assert imported[case][1] == "False"
