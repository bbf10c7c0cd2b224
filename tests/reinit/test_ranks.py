"""HessianReinit on two ranks of this machine."""

import pytest
from training_on_ranks import CHECKS

MODULE = "training_on_ranks"  # of the fixture failures_by_rank


@pytest.mark.parametrize("check", CHECKS)
def test_on_two_ranks(check, failures_by_rank):
    failed = [failures[check] for failures in failures_by_rank]
    assert failed == [None, None], "\n".join(map(str, failed))
