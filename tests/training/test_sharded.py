"""One network on the rows of two ranks, that torchrun starts on this machine."""

import pytest
from estimator_on_ranks import CHECKS
from training_cases import X, Y

from sklearn_hessreg import HessianRegularizedMLPClassifier

PROGRAM = "estimator_on_ranks.py"  # of the fixture outcomes


@pytest.mark.parametrize("check", CHECKS)
def test_on_two_ranks(check, outcomes):
    assert outcomes(check) == [None, None], "\n".join(map(str, outcomes(check)))


@pytest.mark.parametrize(
    "option", [{"solver": "lbfgs"}, {"scoring": "f1_macro"}, {"checkpoint": "state"}]
)
def test_what_sharded_rows_cannot_have_is_refused(option):
    clf = HessianRegularizedMLPClassifier(data="sharded", **option)
    (name,) = option
    with pytest.raises(ValueError, match=f"{name}=.* cannot be used with data="):
        clf.fit(X, Y)
