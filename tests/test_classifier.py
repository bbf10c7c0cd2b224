"""The estimator as its users meet it."""

import pickle
import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from peers import parameters
from reference import assert_redrawn_by
from scipy import sparse
from settings import small
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from skorch.callbacks import Callback, EarlyStopping, EpochTimer, Freezer

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, Y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)
NAMES = np.array(["setosa", "versicolor", "virginica"])
make = partial(small, max_iter=10)


def test_grid_search_over_k_n_and_layer_sizes_in_a_pipeline():
    grid = {
        "hessianregularizedmlpclassifier__k": [0, 10],
        "hessianregularizedmlpclassifier__n": [1, 2],
        "hessianregularizedmlpclassifier__hidden_layer_sizes": [(8,), (8, 4)],
    }
    search = GridSearchCV(make_pipeline(StandardScaler(), make()), grid, cv=2)
    search.fit(X, NAMES[Y])
    assert len(search.cv_results_["params"]) == 8
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.score(X, NAMES[Y]) > 0.8


@pytest.mark.parametrize(
    "labels",
    [NAMES[Y], NAMES[Y].astype(object), pd.Series(NAMES[Y], dtype="category"), Y == 1],
    ids=["str", "object", "category", "bool"],
)
def test_predicts_labels_of_the_kind_given(labels):
    clf = make().fit(X, labels)
    predicted = clf.predict(X)
    assert set(predicted) <= set(labels)
    assert list(clf.classes_) == sorted(set(labels))
    assert predicted.dtype == clf.classes_.dtype


def test_data_frame_gives_feature_names_and_checks_them():
    frame = pd.DataFrame(X, columns=list("abcd"))
    clf = make().fit(frame, Y)
    assert list(clf.feature_names_in_) == list("abcd")
    with pytest.raises(ValueError, match="feature names"):
        clf.predict(frame[list("bacd")])


def test_strings_and_missing_values_through_a_column_transformer():
    frame = pd.DataFrame({"a": X[:, 0], "b": NAMES[Y]})
    frame.loc[::7, "a"] = np.nan
    encode = make_column_transformer(
        (OneHotEncoder(), ["b"]), (SimpleImputer(), ["a"]), sparse_threshold=1
    )
    model = make_pipeline(encode, make(k=2, max_iter=40)).fit(frame, Y)
    assert model.score(frame, Y) > 0.9


@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csc_matrix])
def test_sparse_trains_and_predicts_as_dense(container):
    dense, thin = make().fit(X, Y), make().fit(container(X), Y)
    assert np.array_equal(parameters(dense), parameters(thin))
    assert np.array_equal(dense.predict_proba(X), thin.predict_proba(container(X)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_type_is_kept(dtype):
    clf = make().fit(X.astype(dtype), Y)
    assert {a.dtype for a in clf.coefs_ + clf.intercepts_} == {np.dtype(dtype)}
    assert clf.predict_proba(X.astype(dtype)).dtype == dtype


def test_integers_become_float64():
    assert make().fit((10 * X).astype(int), Y).coefs_[0].dtype == np.float64


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_predictions_run_in_batches_and_join_to_those_of_single_rows(
    container, n_classes
):
    clf = make(max_iter=1).fit(X, Y % n_classes)
    many = np.random.RandomState(0).normal(size=(3000, 4))
    sizes = []
    count = clf.net_.module_.register_forward_pre_hook(
        lambda module, inputs: sizes.append(len(inputs[0]))
    )
    joined = clf.predict_proba(container(many))
    labels = clf.predict(container(many))
    count.remove()
    assert max(sizes) <= 1024
    np.testing.assert_array_equal(labels, joined.argmax(1))
    for row in (0, 1023, 1024, 2999):
        single = clf.predict_proba(container(many)[row : row + 1])
        np.testing.assert_allclose(single[0], joined[row], rtol=1e-12)


@pytest.mark.parametrize("order", ["F", "reversed", "readonly", "record"])
def test_memory_layout_does_not_matter(order):
    data = {"F": np.asfortranarray(X), "reversed": X[::-1].copy()[::-1]}
    data["readonly"] = X.copy()
    data["readonly"].flags.writeable = False
    data["record"] = np.zeros(150, [("x", "f8", (4,)), ("y", "i1")])["x"]
    data["record"][:] = X
    clf = make(shuffle=False).fit(data[order], Y)
    expected = make(shuffle=False).fit(X, Y)
    assert np.array_equal(parameters(clf), parameters(expected))
    assert np.array_equal(clf.predict_proba(data[order]), expected.predict_proba(X))


def test_same_seed_gives_the_same_model_to_the_bit():
    options = {"n": 2, "dropout": 0.2, "hessian_samples": 20, "importance": "hessian"}
    models = [parameters(make(**options).fit(X, Y)) for _ in range(2)]
    assert np.array_equal(*models)
    other = parameters(make(**options, random_state=1).fit(X, Y))
    assert not np.array_equal(models[0], other)


@pytest.mark.parametrize("seed", [0, None])
def test_global_generators_are_untouched(seed):
    numpy_state = np.random.get_state()[1].copy()  # noqa: NPY002
    torch_state = torch.get_rng_state()
    make(dropout=0.5, hessian_samples=20, random_state=seed).fit(X, Y).predict(X)
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_state)


def test_zero_weight_is_absence_to_the_bit():
    weight = np.random.default_rng(0).integers(0, 2, len(X))
    weighted = make(n=2).fit(X, Y, sample_weight=weight)
    without = make(n=2).fit(X[weight == 1], Y[weight == 1])
    assert np.array_equal(parameters(weighted), parameters(without))


def test_class_weight_multiplies_sample_weight_in_loss_and_hessian():
    sample_weight = np.random.default_rng(0).uniform(0.5, 2, len(X))
    by_class = {0: 1.0, 1: 3.0, 2: 0.5}
    one = make(n=2, class_weight=by_class).fit(X, Y, sample_weight)
    expanded = np.array([by_class[label] for label in Y])
    two = make(n=2).fit(X, Y, sample_weight * expanded)
    assert np.array_equal(parameters(one), parameters(two))
    scores = [r["score_max"] for r in make(n=2).fit(X, Y).reinit_history_]
    assert scores != [r["score_max"] for r in one.reinit_history_]


def test_balanced_class_weight_is_that_of_scikit_learn():
    y = np.r_[np.zeros(100, int), np.ones(50, int)]
    balanced = make(class_weight="balanced").fit(X, y)
    explicit = make(class_weight={0: 0.75, 1: 1.5}).fit(X, y)
    np.testing.assert_allclose(parameters(balanced), parameters(explicit), atol=1e-12)


def test_balanced_class_weight_passes_over_a_class_without_weight():
    weight = (Y != 1).astype(float)
    balanced = make(class_weight="balanced").fit(X, Y, weight)
    assert np.array_equal(parameters(balanced), parameters(make().fit(X, Y, weight)))


def test_validation_rows_of_weight_zero_count_as_absent():
    w = np.repeat([0.0, 1.0], 75)
    one = make().fit(X, Y, X_val=X, y_val=Y, sample_weight_val=w)
    two = make().fit(X, Y, X_val=X[75:], y_val=Y[75:])
    assert one.validation_scores_ == two.validation_scores_
    assert np.isfinite(one.history_[:, "valid_loss"]).all()


def test_callback_of_the_user_that_stops_leaves_complete_records():
    stop = EarlyStopping(monitor="train_loss", patience=1, threshold=1e9)
    clf = make(skorch_callbacks=[stop]).fit(X, Y, X_val=X, y_val=Y)
    assert clf.n_iter_ == len(clf.loss_curve_) == len(clf.validation_scores_) < 10
    assert clf.best_loss_ == min(clf.loss_curve_)
    assert clf.t_ == 150 * clf.n_iter_


def test_granularity_may_change_between_calls():
    clf = make(n=2, k=50).fit(X, Y).set_params(granularity="unit").partial_fit(X, Y)
    assert np.isnan(clf.reinit_history_[-1]["overlap"])
    assert clf.reinit_history_[-1]["count"] == 2


def test_decay_rates_may_be_integers():
    assert make(beta_1=0, beta_2=0).fit(X, Y).n_iter_ == 10


def test_early_stopping_split_is_stratified():
    y = np.array([0] * 140 + [1] * 10)
    clf = make(early_stopping=True, validation_fraction=0.2, max_iter=1).fit(X, y)
    # 28 + 2 of the 30 validation samples: an accuracy is a number of thirtieths
    assert clf.t_ == 120
    assert round(clf.validation_scores_[0] * 30, 9) % 1 == 0


def test_validation_set_without_early_stopping_is_only_watched():
    watched = make().fit(X, Y, X_val=X[:50], y_val=Y[:50])
    assert len(watched.validation_scores_) == watched.n_iter_ == 10
    assert np.array_equal(parameters(watched), parameters(make().fit(X, Y)))


def test_warm_start_continues_and_cold_start_does_not():
    warm = make(warm_start=True).fit(X, Y).fit(X, Y)
    assert len(warm.loss_curve_) == 20
    cold = make().fit(X, Y).fit(X, Y)
    assert np.array_equal(parameters(cold), parameters(make().fit(X, Y)))


def test_set_params_takes_effect_in_the_next_partial_fit():
    clf = make(k=0)
    for k in (0, 50, 25, 0):  # a cycle ends with the second call, and the third
        clf.set_params(k=k).partial_fit(X, Y, classes=[0, 1, 2])
    assert [record["count"] for record in clf.reinit_history_] == [6]


@pytest.mark.parametrize("solver", [torch.optim.RMSprop, torch.optim.AdamW])
def test_solver_may_be_a_torch_optimizer(solver):
    clf = make(solver=solver, optimizer_state="reset").fit(X, Y)
    assert isinstance(clf.net_.optimizer_, solver)
    assert clf.to_sklearn().predict(X).shape == (150,)


def test_hooks_of_the_optimizers_step_are_refused_with_the_way_out():
    optimizer = make(max_iter=1).fit(X, Y).net_.optimizer_
    for register in (
        optimizer.register_step_pre_hook,
        optimizer.register_step_post_hook,
    ):
        with pytest.raises(RuntimeError, match=r"solver=torch\.optim\.Adam"):
            register(lambda *args: None)


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("gathered", [1, 20 * 4, 25 * 4 * 2, 10**6])
def test_shuffled_batches_do_not_depend_on_how_many_are_gathered(
    container, gathered, monkeypatch
):
    monkeypatch.setattr("sklearn_hessreg._training._batches.GATHERED", gathered)
    one = make().fit(container(X), Y)
    monkeypatch.undo()
    assert np.array_equal(parameters(one), parameters(make().fit(X, Y)))


def test_one_row_of_a_reversed_array_is_predicted_and_trained_on():
    clf = make().fit(X, Y)
    expected = clf.predict_proba(X[-1:])
    assert np.array_equal(clf.predict_proba(X[::-1][:1]), expected)
    one = make(shuffle=False, batch_size=1, max_iter=2).fit(X[::-1], Y[::-1])
    two = make(shuffle=False, batch_size=1, max_iter=2).fit(X[::-1].copy(), Y[::-1])
    assert np.array_equal(parameters(one), parameters(two))


def test_the_converted_model_is_the_fitted_one_whatever_the_parameters_are_now():
    clf = make(hidden_layer_sizes=(8, 5), early_stopping=True, n_snapshots=1)
    expected = clf.fit(X, Y).to_sklearn()
    clf.set_params(activation="tanh", hidden_layer_sizes=(3,), early_stopping=False)
    converted = clf.to_sklearn()
    assert np.array_equal(converted.predict_proba(X), expected.predict_proba(X))
    assert converted.get_params() == expected.get_params()
    assert (converted.best_loss_, clf.best_loss_) == (None, None)


@pytest.mark.parametrize("n_snapshots", [1, 3])
def test_the_converted_model_shares_no_record_and_no_weight_with_ours(n_snapshots):
    clf = make(n_snapshots=n_snapshots).fit(X, Y)
    curve, proba = clf.loss_curve_, clf.predict_proba(X)
    converted = clf.to_sklearn()
    for mlp in getattr(converted, "estimators_", [converted]):
        mlp.partial_fit(X, Y)
    assert clf.loss_curve_ == curve
    assert np.array_equal(clf.predict_proba(X), proba)


def test_a_converted_early_stopped_model_trains_on_with_warm_start():
    clf = make(early_stopping=True, validation_fraction=0.3, n_snapshots=1).fit(X, Y)
    converted = clf.to_sklearn().set_params(warm_start=True, max_iter=1, tol=1)
    assert converted.fit(X, Y).predict(X).shape == (150,)


def test_dropout_acts_in_training_only():
    clf = make(dropout=0.5).fit(X, Y)
    assert np.array_equal(clf.predict_proba(X), clf.predict_proba(X))
    assert not np.array_equal(parameters(clf), parameters(make().fit(X, Y)))


def test_several_labels_are_reinitialised_by_the_hessian_of_the_sum_of_their_losses():
    labels = np.stack([Y == 0, Y != 1, X[:, 0] > 0], 1).astype(int)
    losses = torch.nn.BCEWithLogitsLoss(reduction="none")
    assert_redrawn_by(lambda z, y: losses(z, y).sum(1).mean(), make(), X, labels)


def test_fitted_estimator_carries_no_training_data():
    rows = np.random.default_rng(0).normal(size=(3000, 4))
    clf = make(max_iter=1).fit(rows, rows[:, 0] > 0, X_val=rows, y_val=rows[:, 0] > 0)
    assert len(pickle.dumps(clf)) < rows.nbytes / 2


def test_callbacks_of_the_user_see_every_epoch_and_are_not_changed():
    class Count(EpochTimer):
        def initialize(self):
            super().initialize()
            self.epochs_ = 0
            return self

        def on_epoch_end(self, net, **kwargs):
            self.epochs_ += 1

    count = Count()
    clf = make(skorch_callbacks=[("count", count)]).fit(X, Y)
    assert dict(clf.net_.callbacks_)["count"].epochs_ == clf.n_iter_ == 10
    assert not hasattr(count, "epochs_")


class Act(Callback):
    """Do something to the net at the start of the third epoch."""

    def __init__(self, action):
        self.action = action

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 3:
            self.action(net)


def replace_weights(net):
    for layer in net.module_.layers:
        layer.weight.data = layer.weight.data.clone()


@pytest.mark.parametrize("solver", ["adam", "sgd", torch.optim.SGD])
def test_weights_in_new_memory_are_penalised_alike(solver):
    options = {"alpha": 10.0, "solver": solver}
    one = make(skorch_callbacks=[Act(replace_weights)], **options).fit(X, Y)
    two = make(**options).fit(X, Y)
    assert one.loss_curve_ == two.loss_curve_
    assert np.array_equal(parameters(one), parameters(two))


@pytest.mark.parametrize("solver", ["adam", "sgd", torch.optim.Adam])
@pytest.mark.parametrize("when", ["before training", "during training"])
def test_frozen_layer_keeps_its_weights(solver, when):
    freeze = Act(lambda net: net.module_.layers[0].requires_grad_(False))
    before = Freezer("layers.0*") if when == "before training" else freeze
    clf = make(hidden_layer_sizes=(8, 6), solver=solver, alpha=0)
    clf.set_params(skorch_callbacks=[before])
    few, many = (clone(clf).set_params(max_iter=i).fit(X, Y) for i in (2, 10))
    assert np.array_equal(few.coefs_[0], many.coefs_[0])
    assert not np.array_equal(few.coefs_[1], many.coefs_[1])


def test_hook_of_batches_that_a_callback_gives_itself_is_called():
    class Late(EpochTimer):
        def on_train_begin(self, net, *args, **kwargs):
            self.calls_ = 0
            self.on_batch_end = self.count

        def count(self, net, **kwargs):
            self.calls_ += 1

    clf = make(skorch_callbacks=[("late", Late())]).fit(X, Y)
    assert dict(clf.net_.callbacks_)["late"].calls_ == 6 * 10


def test_the_net_predicts_logits_from_arrays():
    clf = make(n_snapshots=1).fit(X, Y)
    assert np.array_equal(clf.net_.predict(X).argmax(1), clf.predict(X))


def test_epochs_without_improvement_can_be_read_in_a_loop_of_partial_fit():
    clf = make(k=0, tol=10.0)
    counts = [
        clf.partial_fit(X, Y, classes=range(3))._no_improvement_count for _ in range(4)
    ]
    assert counts == [0, 1, 2, 3]


def test_is_silent_unless_verbose(capsys):
    make().fit(X, Y)
    assert capsys.readouterr().out == ""
    make(verbose=1).fit(X, Y)
    assert "train_loss" in capsys.readouterr().out


def test_warns_once_of_an_expensive_hessian_with_the_cost_and_two_ways_out():
    options = {"hidden_layer_sizes": (200,), "n": 2, "max_iter": 2}
    rows = np.random.default_rng(0).normal(size=(300, 60))
    message = r"2e\+10.*operations.*times.*hessian_samples.*curvature='per_sample'"
    with pytest.warns(UserWarning, match=message) as seen:
        make(**options).fit(rows, rows[:, 0] > 0)
    assert sum("hessian_samples" in str(w.message) for w in seen) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        make(**options, curvature="per_sample").fit(rows, rows[:, 0] > 0)
        make(**options, hessian_samples=4).fit(rows, rows[:, 0] > 0)
        make(**options, k=0).fit(rows, rows[:, 0] > 0)


class Interrupt(EpochTimer):
    def on_batch_begin(self, net, **kwargs):
        if len(net.history) == 4:
            raise KeyboardInterrupt


def test_interrupt_keeps_the_finished_epochs():
    with pytest.warns(UserWarning, match="interrupted by user"):
        clf = make(skorch_callbacks=[Interrupt()]).fit(X, Y)
    assert clf.n_iter_ == len(clf.loss_curve_) == 3


@pytest.mark.parametrize("k", [0, 70])
def test_interrupted_training_is_warned_of_once(k):
    options = {"k": k, "reinit_every": "plateau", "skorch_callbacks": [Interrupt]}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make(**options).fit(X, Y)
    (message,) = (str(warning.message) for warning in caught)
    assert "interrupted by user" in message


def test_attributes_have_scikit_learns_shapes():
    X2, y2 = load_breast_cancer(return_X_y=True)
    clf = make(hidden_layer_sizes=(5, 3)).fit(StandardScaler().fit_transform(X2), y2)
    assert [c.shape for c in clf.coefs_] == [(30, 5), (5, 3), (3, 1)]
    assert [i.shape for i in clf.intercepts_] == [(5,), (3,), (1,)]
    assert (clf.n_layers_, clf.n_outputs_, clf.out_activation_) == (4, 1, "logistic")
    assert clf.loss_ == clf.loss_curve_[-1]
    assert clf.validation_scores_ is None
    assert len(clf.history_) == clf.n_iter_
