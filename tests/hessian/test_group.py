"""hessian_scores on two ranks that torchrun starts on this machine."""

import pytest
from scores_on_ranks import CHECKS

PROGRAM = "scores_on_ranks.py"  # of the fixture outcomes


@pytest.mark.parametrize("check", CHECKS)
def test_on_two_ranks(check, outcomes):
    assert outcomes(check) == [None, None], "\n".join(map(str, outcomes(check)))
