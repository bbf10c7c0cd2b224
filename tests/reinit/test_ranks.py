"""HessianReinit on two ranks that torchrun starts on this machine."""

import pytest
from ranks import outcomes_on_two_ranks
from training_on_ranks import CHECKS


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    return outcomes_on_two_ranks("training_on_ranks.py", folder)


@pytest.mark.parametrize("check", CHECKS)
def test_on_two_ranks(check, outcomes):
    assert outcomes(check) == [None, None], "\n".join(map(str, outcomes(check)))
