"""Training that ends in numbers from which nothing can be predicted is refused."""

from contextlib import suppress

import numpy as np
import pytest
from scipy import sparse
from skorch.callbacks import LRScheduler
from training_cases import X, Y

from sklearn_hessreg import HessianRegularizedMLPClassifier


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("weight", [1e-280, 1e-300, 5e-324])
def test_weights_of_samples_so_small_that_the_penalty_explodes(weight, container):
    clf = HessianRegularizedMLPClassifier(solver="sgd", random_state=0)
    weights = np.full(len(Y), weight)
    with suppress(ValueError):  # whether the weights overflow hangs on the rounding
        clf.partial_fit(container(X), Y, weights, classes=[0, 1, 2])
    assert not hasattr(clf, "net_") or np.isfinite(clf.predict_proba(X)).all()


def test_finite_weights_whose_outputs_overflow():
    rows = X.astype("f4")
    clf = HessianRegularizedMLPClassifier(
        hidden_layer_sizes=(2, 2, 2),
        k=0,
        solver="sgd",
        learning_rate_init=0.1,
        alpha=1e10,
        max_iter=2,
        random_state=0,
    )
    with pytest.raises(ValueError, match=r"learning rate|scale the features"):
        clf.fit(rows, Y)
    assert not hasattr(clf, "net_")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("rate", [1e160, 1e300])
def test_a_snapshot_whose_outputs_overflow(rate):
    first_only = LRScheduler("LambdaLR", lr_lambda=lambda epoch: float(epoch == 0))
    clf = HessianRegularizedMLPClassifier(
        hidden_layer_sizes=(5,),
        k=100,
        n=2,
        importance="random",
        granularity="unit",  # with it all of the network is new in the second epoch
        reinit_every=1,
        early_stopping=False,
        solver="sgd",
        momentum=0,
        alpha=0,
        learning_rate_init=rate,
        max_iter=3,
        random_state=0,
        skorch_callbacks=[first_only],
    )
    with pytest.raises(ValueError, match="outputs overflow"):
        clf.fit(X, Y)
    assert not hasattr(clf, "net_")
