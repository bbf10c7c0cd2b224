"""Sparse rows: products by scipy where they pay, and the dense network's results."""

import numpy as np
import pytest
import torch
from scipy import sparse
from settings import PLAIN

from sklearn_hessreg import HessianRegularizedMLPClassifier
from sklearn_hessreg._training import _mlp
from sklearn_hessreg._training._batches import Samples
from sklearn_hessreg._training._mlp import SparseRows, product

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
RNG = np.random.default_rng(0)
THIN = sparse.csr_array(sparse.random(120, 300, density=0.02, random_state=RNG))
Y = np.arange(120) % 3


def make(**options):
    options = {**PLAIN, "hidden_layer_sizes": (8,), "random_state": 0, **options}
    return HessianRegularizedMLPClassifier(max_iter=5, batch_size=40, **options)


def test_the_product_and_its_derivatives_are_the_dense_ones():
    layer = torch.nn.Linear(300, 8, dtype=torch.float64)
    z = product(SparseRows(THIN), layer.weight) + layer.bias
    (z**2).sum().backward()
    found = [z.detach(), layer.weight.grad.clone(), layer.bias.grad.clone()]
    layer.zero_grad()
    z = layer(torch.from_numpy(THIN.toarray()))
    (z**2).sum().backward()
    expected = [z.detach(), layer.weight.grad, layer.bias.grad]
    for one, two in zip(found, expected, strict=True):
        # sums of at most 300 terms in another order
        scale = two.abs().max().item()
        torch.testing.assert_close(one, two, rtol=0, atol=300 * 2**-52 * scale)


@pytest.mark.parametrize("options", [{"k": 0}, {"k": 20, "n": 2, "reinit_every": 1}])
@pytest.mark.parametrize("shuffle", [True, False])
def test_trains_and_predicts_as_on_dense_rows_up_to_rounding(options, shuffle):
    thin = make(shuffle=shuffle, **options).fit(THIN, Y)
    dense = make(shuffle=shuffle, **options).fit(THIN.toarray(), Y)
    for one, two in zip(thin.coefs_, dense.coefs_, strict=True):
        # 15 steps of Adam, which divides rounding errors by small gradients
        np.testing.assert_allclose(one, two, atol=1e-9)
    np.testing.assert_allclose(
        thin.predict_proba(THIN), thin.predict_proba(THIN.toarray()), rtol=1e-12
    )


def test_no_batch_is_made_dense_without_the_method(monkeypatch):
    def refuse(self, *args, **kwargs):
        raise AssertionError("made dense")

    monkeypatch.setattr(sparse.csr_array, "toarray", refuse)
    make(k=0, early_stopping=True, n_iter_no_change=2).fit(THIN, Y).predict(THIN)


@pytest.mark.parametrize("n_snapshots", [1, 3])
def test_prediction_multiplies_as_many_rows_at_once_as_there_are_features(
    monkeypatch, n_snapshots
):
    X = sparse.csr_array(sparse.random(4000, 2000, density=0.001, random_state=RNG))
    clf = make(k=20, reinit_every=1, n_snapshots=n_snapshots).fit(X[:50], Y[:50])
    expected = clf.predict_proba(X.toarray())
    counts = []

    def count(rows, W):
        counts.append(len(rows))
        return product(rows, W)

    monkeypatch.setattr(_mlp, "product", count)
    np.testing.assert_allclose(clf.predict_proba(X), expected, rtol=1e-12)
    assert counts == [2000] * 2 * n_snapshots  # scipy copies the weights in each


@pytest.mark.parametrize(("density", "device"), [(0.2, "cpu"), (0.02, "cuda")])
def test_full_rows_and_other_devices_take_dense_batches(density, device):
    X = sparse.csr_array(sparse.random(50, 40, density=density, random_state=RNG))
    assert isinstance(
        Samples(X, device=device).inputs_of_batch(slice(0, 5)), torch.Tensor
    )
