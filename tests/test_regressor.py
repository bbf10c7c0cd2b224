"""The regressor as its users meet it."""

import warnings
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch
from peers import parameters
from reference import assert_equal_to_reference, assert_redrawn_by, reference_scores
from scipy import sparse
from settings import small
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes
from sklearn.ensemble import VotingRegressor
from sklearn.exceptions import DataConversionWarning
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_hessreg import HessianRegularizedMLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, Y = load_diabetes(return_X_y=True)
X, Y = (X / X.std(0))[:150, :4], (Y / Y.std())[:150]
Y2 = np.stack([Y, X[:, 2] ** 2], 1)
TARGETS = {"one output": Y, "two outputs": Y2}
WEIGHT = np.random.default_rng(0).uniform(0.1, 3, len(Y))
F = torch.nn.functional
# the definition of each loss, a number for each sample and output
LOSSES = {
    "squared_error": lambda z, y: (z - y) ** 2 / 2,
    "poisson": lambda z, y: z.exp() - y * z,
    "huber": lambda z, y: F.huber_loss(z, y, reduction="none", delta=0.3),
    "absolute_error": lambda z, y: (z - y).abs(),
}
every_loss = pytest.mark.parametrize("loss", LOSSES)
every_target = pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS)


def make(loss="squared_error", **options):
    """A small, quick estimator."""
    importance = "magnitude" if loss == "absolute_error" else "hessian"
    options = {"importance": importance, "delta": 0.3, "max_iter": 10, **options}
    return small(HessianRegularizedMLPRegressor, loss=loss, **options)


def outputs(snapshot, rows):
    """Compute what one network puts out."""
    (W, V), (b, c) = snapshot.coefs, snapshot.intercepts
    return np.maximum(rows @ W + b, 0) @ V + c


@every_target
@every_loss
def test_predictions_are_the_mean_of_the_networks_predictions(loss, y):
    reg = make(loss).fit(X, y)
    assert len(reg.snapshots_) == 10
    link = np.exp if loss == "poisson" else np.positive
    expected = np.mean([link(outputs(s, X)) for s in reg.snapshots_], 0)
    # the sums of 4 and 8 terms of ten networks, none above 16
    np.testing.assert_allclose(
        reg.predict(X), expected.reshape(y.shape), atol=20 * 16 * 2**-52
    )


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["", "weighted"])
@every_target
@every_loss
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_scores_are_those_of_the_definition(loss, y, weight, activation):
    options = {"activation": activation, "aggregation": "sum", "max_iter": 3}
    reg = make(loss, **options, k=0).fit(X, y)
    w = torch.from_numpy(np.ones(len(y)) if weight is None else weight)
    target = torch.from_numpy(y.reshape(len(y), -1))

    def J(z, target):
        return (w * LOSSES[loss](z, target).sum(1)).sum() / w.sum()

    scores = reg.hessian_scores(X, y, weight)
    assert list(scores) == ["layers.0", "layers.1"]
    for name, S in scores.items():
        reference = reference_scores(
            reg.net_.module_, J, torch.from_numpy(X), target, name
        )
        assert_equal_to_reference(torch.from_numpy(S), reference)


@pytest.mark.parametrize("loss", ["squared_error", "poisson", "huber"])
def test_weights_are_redrawn_by_the_scores_of_the_loss(loss):
    assert_redrawn_by(lambda z, y: LOSSES[loss](z, y).sum(1).mean(), make(loss), X, Y2)


@pytest.mark.parametrize("loss", ["huber", "absolute_error"])
def test_robust_losses_are_recorded_as_means_over_samples_and_outputs(loss):
    reg = make(loss, k=0, alpha=0, learning_rate_init=1e-12, batch_size=150)
    reg.fit(X, Y2, WEIGHT)
    z = torch.from_numpy(outputs(reg.snapshots_[0], X))
    losses = LOSSES[loss](z, torch.from_numpy(Y2)).mean(1).numpy()
    expected = np.average(losses, weights=WEIGHT)
    assert reg.loss_curve_[-1] == pytest.approx(expected, rel=1e-8)


def test_huber_loss_with_a_large_delta_trains_as_the_squared_error():
    one, two = make("huber", delta=1e6).fit(X, Y), make().fit(X, Y)
    np.testing.assert_allclose(parameters(one), parameters(two), atol=1e-12)


@pytest.mark.parametrize("loss", ["huber", "absolute_error"])
def test_robust_losses_mind_outliers_less(loss):
    spoilt = Y.copy()
    spoilt[::10] += 50
    plain, robust = (
        make(name, k=0, max_iter=100).fit(X, spoilt) for name in ("squared_error", loss)
    )
    error = [np.median(np.abs(reg.predict(X) - Y)) for reg in (plain, robust)]
    assert error[1] < error[0] / 2


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
@every_target
def test_validation_scores_are_r2_weighted_by_sample_weights(y, loss):
    reg = make(loss, n_snapshots=1)
    reg.fit(X, y, X_val=X[:40], y_val=y[:40], sample_weight_val=WEIGHT[:40])
    expected = r2_score(y[:40], reg.predict(X[:40]), sample_weight=WEIGHT[:40])
    assert reg.validation_scores_[-1] == pytest.approx(expected, rel=1e-12)
    assert len(reg.validation_scores_) == 10


def test_r2_of_more_than_a_batch_of_validation_rows_is_that_of_all():
    rows = np.random.default_rng(0).normal(size=(3000, 4))
    target = rows[:, 0] + np.arange(3000) / 1000
    reg = make(n_snapshots=1, max_iter=2).fit(X, Y, X_val=rows, y_val=target)
    expected = r2_score(target, reg.predict(rows))
    assert reg.validation_scores_[-1] == pytest.approx(expected, rel=1e-12)


def test_history_has_the_r2_of_each_epoch():
    reg = make().fit(X, Y, X_val=X[:40], y_val=Y[:40])
    assert reg.history_[:, "valid_r2"] == reg.validation_scores_
    assert "valid_acc" not in reg.history_[-1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every_target
def test_float_type_is_kept(dtype, y):
    reg = make().fit(X.astype(dtype), y)
    assert {a.dtype for a in reg.coefs_ + reg.intercepts_} == {np.dtype(dtype)}
    assert reg.predict(X.astype(dtype)).dtype == dtype


@pytest.mark.parametrize("kind", [list, pd.Series, np.float32, int, bool, object])
def test_targets_may_be_numbers_of_any_kind(kind):
    numbers = np.round(4 * Y)
    given = kind(numbers) if kind in (list, pd.Series) else numbers.astype(kind)
    expected = np.asarray(given, float)
    one, two = make().fit(X, given), make().fit(X, expected)
    assert np.array_equal(parameters(one), parameters(two))


def test_column_of_targets_is_a_vector_with_a_warning():
    with pytest.warns(DataConversionWarning, match="column-vector"):
        reg = make().fit(X, Y[:, None])
    assert np.array_equal(reg.predict(X), make().fit(X, Y).predict(X))


@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csc_matrix])
def test_sparse_trains_and_predicts_as_dense(container):
    dense, thin = make().fit(X, Y2), make().fit(container(X), Y2)
    assert np.array_equal(parameters(dense), parameters(thin))
    assert np.array_equal(dense.predict(X), thin.predict(container(X)))


@every_target
def test_zero_weight_is_absence_to_the_bit(y):
    weight = np.random.default_rng(0).integers(0, 2, len(X))
    weighted = make(n=2).fit(X, y, sample_weight=weight)
    without = make(n=2).fit(X[weight == 1], y[weight == 1])
    assert np.array_equal(parameters(weighted), parameters(without))


def test_search_over_k_and_loss_with_scaled_targets():
    model = TransformedTargetRegressor(
        make_pipeline(StandardScaler(), make()), transformer=StandardScaler()
    )
    name = "regressor__hessianregularizedmlpregressor__"
    grid = {name + "k": [0, 10], name + "loss": ["squared_error", "huber"]}
    search = GridSearchCV(model, grid, cv=2).fit(X, 100 * Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@every_loss
def test_several_snapshots_become_a_vote_that_predicts_the_same(loss):
    frame = pd.DataFrame(X, columns=list("abcd"))
    reg = make(loss).fit(frame, Y)
    voting = reg.to_sklearn()
    assert isinstance(voting, VotingRegressor)
    np.testing.assert_allclose(voting.predict(frame), reg.predict(frame), rtol=1e-12)
    assert list(voting.feature_names_in_) == list("abcd")
    assert clone(voting).fit(frame, Y).predict(frame).shape == (150,)


@pytest.mark.parametrize("loss", ["huber", "absolute_error"])
def test_robust_networks_are_converted_to_those_of_the_squared_error(loss):
    converted = make(loss, n_snapshots=1).fit(X, Y).to_sklearn()
    assert converted.loss == "squared_error"
    assert converted.partial_fit(X, Y).predict(X).shape == (150,)


def test_the_converted_model_has_the_fitted_loss_whatever_it_is_now():
    reg = make("poisson", n_snapshots=1).fit(X, Y)
    expected = reg.predict(X)
    reg.set_params(loss="huber", delta=3)
    assert reg.to_sklearn().loss == "poisson"
    np.testing.assert_allclose(reg.to_sklearn().predict(X), expected, rtol=1e-12)
    assert np.array_equal(reg.predict(X), expected)


def test_several_snapshots_of_several_outputs_are_refused_with_the_ways_out():
    with pytest.raises(
        ValueError, match=r"10 snapshots of 2 outputs.*n_snapshots=1.*snapshots_"
    ):
        make().fit(X, Y2).to_sklearn()


NAN = np.where(np.arange(150) == 3, np.nan, Y)
BAD = {
    "NaN": (NAN, {}, "y contains NaN(?s:.*)finite numbers.*Remove"),
    "infinity": (np.where(Y[3] == Y, np.inf, Y), {}, "y contains infinity"),
    "three dimensions": (Y2[None], {}, r"3 dimensions.*\(1, 150, 2\).*reshape"),
    "no dimension": (3.0, {}, "finite numbers"),
    "none": (None, {}, "requires y to be passed"),
    "sparse": (sparse.csr_array(Y2), {}, r"y is a sparse matrix.*toarray"),
    "strings": (np.array(["a", "b"] * 75), {}, "finite numbers"),
    "dates": (np.full(150, "2020-01-01", "M8[D]"), {}, "dtype datetime64"),
    "lengths": (Y[:30], {}, "150, 30"),
    "negative counts": (Y - 2, {"loss": "poisson"}, r"loss='poisson'.*least.*-"),
    "early stopping on a row": (
        Y,
        {"early_stopping": True, "validation_fraction": 0.001},
        "leaves 1 samples for it, at least 2",
    ),
}
BAD_VALIDATION = {
    "NaN": (NAN, {}, "y_val contains NaN"),
    "width": (Y2, {}, "y_val has 2 outputs.*trained on 1"),
    "one row": (Y[:1], {}, "1 validation samples.*R².*2"),
    "negative counts": (Y - 2, {"loss": "poisson"}, "least in y_val is -"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_targets_are_refused_and_the_fitted_model_kept(case):
    target, options, message = BAD[case]
    reg = make(**options | {"early_stopping": False}).fit(X, Y)
    state, expected = vars(reg).copy(), reg.predict(X)
    reg.set_params(**options)
    with pytest.raises(ValueError, match=message):
        reg.fit(X, target)
    assert reg.net_ is state["net_"]
    assert np.array_equal(reg.predict(X), expected)


@pytest.mark.parametrize("case", BAD_VALIDATION)
def test_bad_validation_targets_are_refused(case):
    target, options, message = BAD_VALIDATION[case]
    with pytest.raises(ValueError, match=message):
        make(**options).fit(X, Y, X_val=X[: len(target)], y_val=target)


@pytest.mark.parametrize("factor", [1e-3, 1e3])
@pytest.mark.parametrize("train", ["fit", "partial_fit"])
def test_targets_far_from_one_are_warned_of_once(factor, train):
    reg = make(warm_start=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            getattr(reg, train)(X, Y * factor)
    said = [str(w.message) for w in caught if "standard deviation" in str(w.message)]
    assert len(said) == 1
    assert "TransformedTargetRegressor" in said[0]


@pytest.mark.parametrize(
    ("y", "options"),
    [
        (Y * 99, {}),
        (Y * 0.02, {}),
        (np.full(len(X), 1e6), {}),
        (np.exp(Y) * 1e3, {"loss": "poisson"}),
        (Y * 1e3, {"solver": "lbfgs"}),
    ],
    ids=["large", "small", "constant", "poisson", "lbfgs"],
)
def test_other_targets_are_not_warned_of(y, options):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "The targets have a standard deviation")
        make(**options).fit(X, y)


@pytest.mark.filterwarnings("ignore:The targets have a standard deviation")
def test_targets_whose_loss_overflows_are_named_before_training():
    reg = make()
    with pytest.raises(ValueError, match=r"loss of the targets.*float32.*e\+20"):
        reg.fit(X.astype(np.float32), Y * 1e20)
    make().fit(X, Y * 1e20)
    make("huber").fit(X.astype(np.float32), Y * 1e20)


@pytest.mark.filterwarnings("ignore:The targets have a standard deviation")
def test_a_loss_that_overflows_is_not_blamed_on_the_features_alone():
    with pytest.raises(ValueError, match="the features and the targets"):
        make(solver="sgd", learning_rate_init=1e3).fit(X, Y * 1e3)


@pytest.mark.parametrize(
    "convert", [Fraction, lambda i: 10**20 + i], ids=["fraction", "large integer"]
)
def test_numbers_that_numpy_holds_as_objects_are_targets(convert):
    y = [convert(i) for i in range(len(X))]
    floats = make(k=0).fit(X, np.array(y, dtype=float))
    assert np.array_equal(make(k=0).fit(X, y).predict(X), floats.predict(X))


@pytest.mark.filterwarnings("ignore:The targets have a standard deviation")
def test_targets_beyond_the_range_of_float32_are_refused_with_the_ways_out():
    with pytest.raises(ValueError, match=r"float32.*1e\+300.*TransformedTarget.*64"):
        make().fit(X.astype(np.float32), np.full(150, 1e300))


@pytest.mark.parametrize(
    ("name", "value"), [("loss", "log_loss"), ("delta", 0), ("delta", "auto")]
)
def test_bad_parameter_is_named(name, value):
    with pytest.raises(ValueError, match=f"'{name}'.*{value!r}"):
        make(**{name: value}).fit(X, Y)


def test_delta_is_ignored_by_other_losses():
    one, two = make(delta=0.1).fit(X, Y), make(delta=5).fit(X, Y)
    assert np.array_equal(parameters(one), parameters(two))


def test_validation_targets_that_are_all_equal_are_warned_of_where_they_decide():
    reg = make(early_stopping=True)
    with pytest.warns(UserWarning, match=r"validation targets are \[2.0\].*X_val"):
        reg.fit(X, np.full(150, 2.0))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "All validation targets")
        make().fit(X, Y, X_val=X[:5], y_val=np.ones(5))


def test_absolute_error_is_warned_to_have_no_hessian_with_the_ways_out():
    with pytest.warns(UserWarning, match=r"no curvature.*huber.*'magnitude'"):
        reg = make("absolute_error", importance="hessian").fit(X, Y)
    assert not reg.hessian_scores(X, Y)["layers.1"].any()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*no curvature")
        make("absolute_error", k=0, importance="hessian").fit(X, Y)


def test_partial_fit_refuses_early_stopping_and_another_number_of_outputs():
    with pytest.raises(ValueError, match="partial_fit does not support early_stop"):
        make(early_stopping=True).partial_fit(X, Y)
    with pytest.raises(ValueError, match=r"y has 2 outputs.*trained on 1"):
        make().partial_fit(X, Y).partial_fit(X, Y2)


def test_link_cannot_change_while_training_is_continued():
    reg = make("squared_error").partial_fit(X, Y).set_params(loss="huber")
    reg.partial_fit(X, Y).set_params(loss="poisson")
    with pytest.raises(ValueError, match=r"to 'poisson'.*'identity', not.*'exp'"):
        reg.partial_fit(X, Y)


def test_predictions_that_overflow_are_refused():
    reg = make("poisson", solver="sgd", k=0, max_iter=1, batch_size=150)
    with pytest.raises(ValueError, match=r"overflow.*in epoch 1.*learning rate"):
        reg.set_params(learning_rate_init=1e4).fit(X, Y)
