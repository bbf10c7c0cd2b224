"""One network on the rows of two ranks of this machine."""

import pytest
from estimator_on_ranks import CHECKS
from training_cases import X, Y

from sklearn_hessreg import HessianRegularizedMLPClassifier

MODULE = "estimator_on_ranks"  # of the fixture failures_by_rank


@pytest.mark.parametrize("check", CHECKS)
def test_on_two_ranks(check, failures_by_rank):
    failed = [failures[check] for failures in failures_by_rank]
    assert failed == [None, None], "\n".join(map(str, failed))


@pytest.mark.parametrize(
    "option", [{"solver": "lbfgs"}, {"scoring": "f1_macro"}, {"checkpoint": "state"}]
)
def test_what_sharded_rows_cannot_have_is_refused(option):
    clf = HessianRegularizedMLPClassifier(distributed=True, **option)
    (name,) = option
    with pytest.raises(ValueError, match=f"{name}=.* cannot be used with distributed="):
        clf.fit(X, Y)
