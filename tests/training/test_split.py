"""The rows set aside for validation: of the user's own data, which are not copied."""

import numpy as np
import pytest
from scipy import sparse
from settings import PLAIN
from skorch.callbacks import Callback
from training_cases import X, Y

from sklearn_hessreg import HessianRegularizedMLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class Parts(Callback):
    """Keep the samples of the last epoch."""

    last = None

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        Parts.last = dataset_train, dataset_valid


def parts_of(X, **options):
    """Train with early stopping, and return the samples of both parts."""
    HessianRegularizedMLPClassifier(
        **{**PLAIN, "k": 0, "early_stopping": True, **options},
        hidden_layer_sizes=(3,),
        random_state=0,
        skorch_callbacks=[Parts],
        max_iter=2,
    ).fit(X, Y)
    return Parts.last


def read_only(X):
    X = X.copy()
    X.setflags(write=False)
    return X


KINDS = {
    "array": X,
    "read-only array": read_only(X),
    "CSR, dense in batches": sparse.csr_array(X),
    "CSR": sparse.csr_array(X * (np.arange(X.size).reshape(X.shape) % 20 == 0)),
}


def memory_of(X):
    """Return the array in which the numbers stand."""
    return X.data if sparse.issparse(X) else np.asarray(X)


@pytest.mark.parametrize("kind", KINDS)
def test_early_stopping_copies_no_rows(kind):
    for samples in parts_of(KINDS[kind]):
        assert np.shares_memory(memory_of(samples.X), memory_of(KINDS[kind]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shuffle", [True, False])
def test_both_parts_together_are_all_rows_once(kind, shuffle):
    parts = parts_of(KINDS[kind], shuffle=shuffle)
    rows = np.concatenate([samples.rows for samples in parts])
    np.testing.assert_array_equal(np.sort(rows), np.arange(len(X)))
    for samples in parts:
        inputs, (target, _) = samples[slice(0, 7)]
        dense = KINDS[kind].toarray() if sparse.issparse(KINDS[kind]) else X
        np.testing.assert_array_equal(inputs, dense[samples.rows[:7]])
        np.testing.assert_array_equal(target, Y[samples.rows[:7]])


def test_a_scorer_of_the_users_is_given_the_validation_rows():
    given = []

    def scoring(model, X, y):
        given.append((X, y))
        return 0.0

    _, valid = parts_of(X, scoring=scoring)
    for rows, labels in given:
        np.testing.assert_array_equal(rows, X[valid.rows])
        np.testing.assert_array_equal(labels, Y[valid.rows])
