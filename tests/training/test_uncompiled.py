"""A process that trains by Adam or only predicts does not import torch's compiler."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from settings import PLAIN
from training_cases import X, Y

from sklearn_hessreg import HessianRegularizedMLPClassifier

PROGRAM = """
import pickle, sys, warnings
warnings.simplefilter("ignore")
clf, X, y, does = pickle.load(sys.stdin.buffer)
if does == "fit":
    pickle.loads(pickle.dumps(clf.fit(X, y)))
clf.predict(X)
raise SystemExit("torch._dynamo" in sys.modules)
"""


def make(**options):
    options = {**PLAIN, "max_iter": 3, "k": 20, "reinit_every": 1, **options}
    return HessianRegularizedMLPClassifier((8,), random_state=0, **options)


def imports_the_compiler(*args):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=pickle.dumps(args),
        cwd=Path(__file__).parents[2],
    )
    return done.returncode


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_to_fit_and_to_copy_is_possible_without_it(solver):
    assert imports_the_compiler(make(solver=solver), X, Y, "fit") == 0


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_to_load_and_to_predict_is_possible_without_it(solver):
    clf = make(solver=solver).fit(X, Y)
    assert imports_the_compiler(clf, X, Y, "predict") == 0
