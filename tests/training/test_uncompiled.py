"""A process that trains by Adam or only predicts does not import torch's compiler."""

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
warnings.simplefilter("ignore")
for clf, X, y, does in pickle.load(sys.stdin.buffer):
    if does == "fit":
        pickle.loads(pickle.dumps(clf.fit(X, y)))
    clf.predict(X)
    print("torch._dynamo" in sys.modules)
"""
CASES = [("fit", "adam"), ("fit", "lbfgs"), ("predict", "adam"), ("predict", "sgd")]


def make(does, solver):
    options = {**PLAIN, "max_iter": 3, "k": 20, "reinit_every": 1, "solver": solver}
    clf = HessianRegularizedMLPClassifier((8,), random_state=0, **options)
    return clf.fit(X, Y) if does == "predict" else clf


@pytest.fixture(scope="module")
def imports_the_compiler():
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
    return dict(zip(CASES, done.stdout.decode().split(), strict=True))


@pytest.mark.parametrize("case", CASES, ids=" by ".join)
def test_the_compiler_is_not_imported_to(case, imports_the_compiler):
    assert imports_the_compiler[case] == "False"
