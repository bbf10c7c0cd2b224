"""Checks of the estimators on two ranks, for test_sharded.py."""

import pickle
import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch.distributed as dist
from ranks import on_all_ranks, rows_of_this_rank
from scipy.sparse import csr_matrix
from sklearn.exceptions import ConvergenceWarning
from training_cases import X, Y

from sklearn_hessreg import (
    HessianRegularizedMLPClassifier,
    HessianRegularizedMLPRegressor,
)

warnings.simplefilter("ignore", ConvergenceWarning)
CUT = 120  # rows of the first rank, sorted by class: the second has none of class 0
WEIGHT = np.random.default_rng(0).uniform(0.5, 2, len(Y))
OPTIONS = {"hidden_layer_sizes": (8, 6), "random_state": 0, "max_iter": 8}
OPTIONS |= {"batch_size": 40, "distributed": True}
Classifier = partial(HessianRegularizedMLPClassifier, **OPTIONS)
Regressor = partial(HessianRegularizedMLPRegressor, **OPTIONS)


def own(array, cut=CUT):
    """Return this rank's rows."""
    return array[rows_of_this_rank(cut, len(Y))]


def on_one(model, *data, **further):
    """Train a model on all rows in this process alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.set_params(distributed=False).fit(*data, **further)


def networks(model):
    return [W for s in model.snapshots_ for W in (*s.coefs, *s.intercepts)]


def assert_as_on_one(model, one):
    """Compare all networks and scores up to rounding; the ranks' to the bit."""
    said = [model.loss_curve_, networks(model), model.n_iter_]
    assert len(set(on_all_ranks(pickle.dumps(said)))) == 1
    assert model.n_iter_ == one.n_iter_
    np.testing.assert_allclose(model.loss_curve_, one.loss_curve_, rtol=1e-9)
    assert len(model.snapshots_) == len(one.snapshots_)
    for W, V in zip(networks(model), networks(one), strict=True):
        np.testing.assert_allclose(W, V, rtol=1e-7, atol=1e-9)


def trains_as_one_process(make=Classifier, cut=CUT, weight=None, y=Y, **options):
    given = [] if weight is None else [weight]
    shares = [own(part, cut) for part in (X, y, *given)]
    model = make(**options).fit(*shares)
    one = on_one(make(**options), X, y, *given)
    assert_as_on_one(model, one)
    return model, one


def early_stopping_scores_the_rows_of_all():
    options = {
        "early_stopping": True,
        "n_iter_no_change": 1,
        "max_iter": 30,
        "tol": 0.1,
    }
    model, one = trains_as_one_process(k=70, **options)
    np.testing.assert_allclose(
        model.validation_scores_, one.validation_scores_, rtol=1e-9
    )
    assert len(model.snapshots_) > 1


def early_stopping_takes_own_validation_rows_of_each_rank():
    rows = np.random.default_rng(0).permutation(len(Y))[:40]
    options = {"early_stopping": True, "n_iter_no_change": 2, "tol": 0.1}
    shares = [own(X), own(Y)]
    model = Classifier(**options).fit(
        *shares, X_val=own(X[rows], 10), y_val=own(Y[rows], 10)
    )
    one = on_one(Classifier(**options), X, Y, X_val=X[rows], y_val=Y[rows])
    assert_as_on_one(model, one)


def a_rank_without_rows_takes_part():
    for S in X, csr_matrix(X):
        model = Classifier(k=70, reinit_every=2)
        mine = slice(0, len(Y) * (1 - dist.get_rank()))
        model.fit(S[mine], Y[mine])
        assert_as_on_one(model, on_one(Classifier(k=70, reinit_every=2), S, Y))


def a_rank_without_rows_needs_no_arrays_of_their_kind():
    mine = (X, Y) if dist.get_rank() else (np.empty((0, 4), "f4"), [])
    model = Classifier(k=0).fit(*mine)
    assert_as_on_one(model, on_one(Classifier(k=0), X, Y))


def no_rows_on_any_rank_are_refused():
    with pytest.raises(ValueError, match="No rank has rows"):
        Classifier().fit(X[:0], Y[:0])


def a_rank_whose_rows_have_no_weight_takes_part():
    weight = np.repeat([1.0, 0.0], [60, 90])  # the second rank has the last 30
    model = Classifier(k=0).fit(own(X), own(Y), own(weight))
    assert_as_on_one(model, on_one(Classifier(k=0), X, Y, weight))


def weights_that_are_all_zero_are_refused():
    with pytest.raises(ValueError, match=r"(?i)all.*zero|non-zero"):
        Classifier().fit(own(X), own(Y), np.zeros(len(own(Y))))


def validates_as_on_one(shard, weight=()):
    """Compare a fit whose validation rows, the first 50, are the first rank's."""
    options = {"early_stopping": True, "n_iter_no_change": 2, "tol": 0.1}
    names = ("X_val", "y_val", "sample_weight_val")
    given = dict(zip(names, map(shard, (X, Y, *weight)), strict=False))
    model = Classifier(**options).fit(own(X), own(Y), **given)
    one = on_one(Classifier(**options), X, Y, X_val=X[:50], y_val=Y[:50])
    assert_as_on_one(model, one)


def a_rank_without_validation_rows_takes_part():
    validates_as_on_one(lambda rows: rows[: 50 * (1 - dist.get_rank())])


def a_rank_whose_validation_rows_have_no_weight_takes_part():
    validates_as_on_one(own, [np.repeat([1.0, 0.0], [50, 100])])


def sparse_rows_train_as_one_process():
    S = csr_matrix(X * (np.random.default_rng(0).random(X.shape) < 0.05))
    model = Classifier(k=0).fit(own(S), own(Y))
    assert_as_on_one(model, on_one(Classifier(k=0), S, Y))


def partial_fit_trains_as_one_process():
    model, one = Classifier(k=30, reinit_every=1), Classifier(k=30, reinit_every=1)
    one.set_params(distributed=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(3):
            model.partial_fit(own(X), own(Y), classes=[0, 1, 2])
            one.partial_fit(X, Y, classes=[0, 1, 2])
    assert_as_on_one(model, one)


def without_a_seed_all_ranks_draw_as_the_first():
    model = Classifier(random_state=None, dropout=0.2, reinit_every=2)
    model.fit(own(X), own(Y))
    assert len(set(on_all_ranks(pickle.dumps(networks(model))))) == 1


def a_dump_predicts_in_one_process():
    model = Classifier().fit(own(X), own(Y))
    if dist.get_rank() == 1:
        restored = pickle.loads(pickle.dumps(model))
        assert np.array_equal(restored.predict_proba(X), model.predict_proba(X))


def bad_rows_on_one_rank_are_an_error_on_both():
    mine = own(X).copy()
    if dist.get_rank() == 1:
        mine[0] = np.nan
    with pytest.raises((ValueError, RuntimeError), match="contains NaN"):
        Classifier().fit(mine, own(Y))


def rows_of_another_width_are_refused():
    mine = own(X)[:, : 4 - dist.get_rank()]
    with pytest.raises(ValueError, match="data of different kinds"):
        Classifier().fit(mine, own(Y))


def other_parameters_are_refused():
    with pytest.raises(ValueError, match=r"k is .* on rank 0"):
        Classifier(k=10.0 * dist.get_rank()).fit(own(X), own(Y))


def other_columns_are_refused():
    names = ["a", "b", "c", "d"] if dist.get_rank() else ["b", "a", "c", "d"]
    with pytest.raises(ValueError, match=r"columns is .* on rank 0"):
        Classifier().fit(pd.DataFrame(own(X), columns=names), own(Y))


def other_classes_are_refused():
    with pytest.raises(ValueError, match=r"classes is .* on rank 0"):
        Classifier().partial_fit(own(X), own(Y), classes=[0, 1, 2, 3 + dist.get_rank()])


def a_warm_start_from_other_weights_is_refused():
    model = on_one(Classifier(k=0, warm_start=True, random_state=dist.get_rank()), X, Y)
    with pytest.raises(ValueError, match="The ranks have different parameters"):
        model.set_params(distributed=True).fit(own(X), own(Y))


def a_network_for_each_rank_is_warned_of():
    with pytest.warns(UserWarning, match="each trains a network of its own"):
        Classifier(distributed=False).fit(X, Y)


CHECKS = {
    "k=0": partial(trains_as_one_process, k=0),
    "sgd": partial(trains_as_one_process, k=0, solver="sgd", learning_rate="adaptive"),
    "weights": partial(
        trains_as_one_process, k=0, weight=WEIGHT, class_weight="balanced"
    ),
    "cycles": partial(trains_as_one_process, k=70, reinit_every=2),
    "mean_loss": partial(
        trains_as_one_process, k=30, reinit_every=2, curvature="mean_loss"
    ),
    "autograd": partial(trains_as_one_process, k=30, reinit_every=2, activation="elu"),
    "few rows": partial(trains_as_one_process, k=70, cut=148, reinit_every=2),
    "no row in most batches": partial(
        trains_as_one_process, k=0, cut=149, batch_size=10
    ),
    "loss": partial(
        trains_as_one_process, k=70, early_stopping=True, scoring="loss", tol=0.1
    ),
    "regressor": partial(
        trains_as_one_process, Regressor, y=X[:, 0], k=70, early_stopping=True
    ),
    "multilabel": partial(trains_as_one_process, y=np.eye(3, dtype=int)[Y], k=0),
    **{
        check.__name__: check
        for check in (
            early_stopping_scores_the_rows_of_all,
            early_stopping_takes_own_validation_rows_of_each_rank,
            a_rank_without_rows_takes_part,
            a_rank_without_rows_needs_no_arrays_of_their_kind,
            no_rows_on_any_rank_are_refused,
            a_rank_whose_rows_have_no_weight_takes_part,
            weights_that_are_all_zero_are_refused,
            a_rank_without_validation_rows_takes_part,
            a_rank_whose_validation_rows_have_no_weight_takes_part,
            sparse_rows_train_as_one_process,
            partial_fit_trains_as_one_process,
            without_a_seed_all_ranks_draw_as_the_first,
            a_dump_predicts_in_one_process,
            bad_rows_on_one_rank_are_an_error_on_both,
            rows_of_another_width_are_refused,
            other_parameters_are_refused,
            other_columns_are_refused,
            other_classes_are_refused,
            a_warm_start_from_other_weights_is_refused,
            a_network_for_each_rank_is_warned_of,
        )
    },
}
