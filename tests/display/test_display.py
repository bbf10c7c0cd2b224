"""The displays: what is drawn where, of which numbers, and what is refused."""

import sys
from functools import partial

import matplotlib as mpl
import numpy as np
import pytest
import torch
from processes import call_in_process, imported_modules
from settings import small
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_hessreg import (
    HessianRegularizedMLPClassifier,
    HessianRegularizedMLPRegressor,
    HessianScoresDisplay,
    LabelQualityDisplay,
    ReinitHistoryDisplay,
    TrainingCurveDisplay,
    hessian_scores,
)

mpl.use("agg")
plt = pytest.importorskip("matplotlib.pyplot")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, Y = load_iris(return_X_y=True)
X = StandardScaler().fit_transform(X)
DISPLAYS = {
    TrainingCurveDisplay: (),
    HessianScoresDisplay: (X, Y),
    ReinitHistoryDisplay: (),
}
every_display = pytest.mark.parametrize(("display", "data"), DISPLAYS.items())


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


LOSSES = {
    HessianRegularizedMLPClassifier: torch.nn.functional.cross_entropy,
    HessianRegularizedMLPRegressor: lambda z, y: ((z[:, 0] - y) ** 2 / 2).mean(),
}
make = partial(small, hidden_layer_sizes=(8, 6), max_iter=6)


@pytest.fixture(scope="module", params=LOSSES)
def clf(request):
    model = make(request.param, n=2, reinit_every=2)
    return model.fit(X, Y, X_val=X[::3], y_val=Y[::3])


def scores_of(clf, name, rows=slice(None)):
    """Scores by the public function, on the estimator's own network."""
    return hessian_scores(
        clf.net_.module_,
        LOSSES[type(clf)],
        torch.from_numpy(X[rows]),
        torch.from_numpy(Y[rows]),
        layers=[name],
    )[name].numpy()


@every_display
def test_draws_in_a_figure_of_its_own(display, data, clf):
    drawn = display.from_estimator(clf, *data)
    assert isinstance(drawn.figure_, mpl.figure.Figure)
    drawn.figure_.canvas.draw()


@every_display
def test_draws_in_the_axes_given(display, data, clf):
    figure, ax = plt.subplots()
    drawn = display.from_estimator(clf, *data, ax=ax)
    assert drawn.figure_ is figure
    assert plt.get_fignums() == [figure.number]


@every_display
@pytest.mark.parametrize("kind", LOSSES)
def test_pipeline_is_drawn_as_its_last_step(kind, display, data):
    raw = (X * 3 + 1, Y)
    model = make_pipeline(StandardScaler(), make(kind)).fit(*raw)
    drawn = display.from_estimator(model, *(raw if data else ()))
    direct = display.from_estimator(model[-1], *data)
    for a, b in zip(vars(drawn).values(), vars(direct).values(), strict=True):
        if isinstance(a, np.ndarray) and a.dtype.kind == "f":
            np.testing.assert_allclose(a, b)
    assert drawn.figure_ is not direct.figure_


@every_display
def test_unfitted_estimator_is_refused(display, data):
    for model in (make(), make_pipeline(StandardScaler(), make())):
        with pytest.raises(NotFittedError):
            display.from_estimator(model, *data)


@every_display
@pytest.mark.parametrize(
    ("model", "message"),
    [
        (MLPClassifier(), "is a MLPClassifier"),
        (GridSearchCV(make(), {"k": [0]}), "GridSearchCV.*best_estimator_"),
        (make_pipeline(MLPClassifier()), "Pipeline that ends with a MLPClassifier"),
    ],
)
def test_other_estimator_is_refused(display, data, model, message):
    with pytest.raises(ValueError, match=message):
        display.from_estimator(model, *data)


@pytest.mark.parametrize("layer", ["layers.7", "output", 3, -4, None])
def test_unknown_layer_is_refused_naming_the_layers(layer, clf):
    with pytest.raises(ValueError, match=r"layer=.*'layers.0', 'layers.1', 'layers.2'"):
        HessianScoresDisplay.from_estimator(clf, X, Y, layer=layer)
    if layer is not None:
        with pytest.raises(ValueError, match=r"layer=.*'layers.0'"):
            ReinitHistoryDisplay.from_estimator(clf, layer=layer)


def test_matplotlib_is_imported_when_something_is_drawn():
    assert "matplotlib" not in call_in_process(imported_modules)


@every_display
def test_missing_matplotlib_is_named_with_the_way_to_get_it(
    display, data, clf, monkeypatch
):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=rf"{display.__name__}.*pip install"):
        display.from_estimator(clf, *data)


def test_curves_are_those_of_the_estimator(clf):
    loss, accuracy = TrainingCurveDisplay.from_estimator(clf).lines_
    assert list(loss.get_xdata()) == [1, 2, 3, 4, 5, 6]
    assert list(loss.get_ydata()) == clf.loss_curve_
    assert list(accuracy.get_ydata()) == clf.validation_scores_


@pytest.mark.parametrize(
    ("scoring", "label"),
    [
        (None, "accuracy"),
        ("f1_macro", "f1_macro"),
        ("loss", "negative loss"),
        (get_scorer("f1_macro"), "score"),
    ],
    ids=str,
)
def test_validation_scores_are_shown_under_the_name_of_scoring(scoring, label):
    clf = make(scoring=scoring).fit(X, Y, X_val=X, y_val=Y)
    display = TrainingCurveDisplay.from_estimator(clf)
    assert list(display.lines_[1].get_ydata()) == clf.validation_scores_
    assert display.axes_[1].get_ylabel() == f"validation\n{label}"


def test_curves_without_validation_data_have_one_axes():
    _, ax = plt.subplots()
    display = TrainingCurveDisplay.from_estimator(make().fit(X, Y), ax=ax)
    assert list(display.axes_) == [ax]
    assert display.validation_scores is None


def test_the_networks_kept_are_marked_on_both_curves(clf):
    loss, accuracy = TrainingCurveDisplay.from_estimator(clf).marks_
    ends = [snapshot.epoch for snapshot in clf.snapshots_]
    assert list(loss.get_xdata()) == list(accuracy.get_xdata()) == ends
    assert list(loss.get_ydata()) == [clf.loss_curve_[end - 1] for end in ends]


def test_without_the_method_no_network_is_marked():
    display = TrainingCurveDisplay.from_estimator(make(k=0).fit(X, Y))
    assert display.marks_ == []


def test_the_first_epochs_do_not_flatten_the_curve():
    curve = [1000.0, *np.linspace(1, 0.5, 60)]
    display = TrainingCurveDisplay(loss_curve=curve).plot()
    low, high = display.axes_[0].get_ylim()
    assert 0.3 < low < 0.6
    assert 0.9 < high < 1.2


def test_few_epochs_are_all_shown(clf):
    low, high = TrainingCurveDisplay.from_estimator(clf).axes_[0].get_ylim()
    assert low < min(clf.loss_curve_)
    assert high > max(clf.loss_curve_)


def test_a_curve_in_shared_axes_leaves_room_for_the_other():
    high, low = np.linspace(20, 10, 60), np.linspace(2, 1, 60)
    display = TrainingCurveDisplay(loss_curve=high).plot()
    TrainingCurveDisplay(loss_curve=low).plot(display.axes_)
    bottom, top = display.axes_[0].get_ylim()
    assert bottom < 1.2
    assert top > 18


def test_axes_of_one_display_take_the_curves_of_another(clf):
    first = TrainingCurveDisplay.from_estimator(clf, name="a")
    other = clone(clf).set_params(k=0).fit(X, Y, X_val=X, y_val=Y)
    second = TrainingCurveDisplay.from_estimator(other, name="b", ax=first.axes_)
    assert list(second.axes_) == list(first.axes_)
    texts = [text.get_text() for text in first.axes_[0].get_legend().get_texts()]
    assert texts == ["a", "network kept", "b"]
    styles = [(line.get_color(), line.get_linestyle()) for line in first.lines_]
    assert (
        second.lines_[0].get_color(),
        second.lines_[0].get_linestyle(),
    ) not in styles


def test_wrong_number_of_axes_is_refused(clf):
    with pytest.raises(ValueError, match="3 axes for 2 curves"):
        TrainingCurveDisplay.from_estimator(clf, ax=plt.subplots(3)[1])


def test_validation_scores_stand_at_their_epochs_after_a_warm_start():
    clf = make(warm_start=True, max_iter=3).fit(X, Y)
    clf.fit(X, Y, X_val=X, y_val=Y)
    values = TrainingCurveDisplay.from_estimator(clf).lines_[1].get_ydata()
    assert list(np.isnan(values)) == [True] * 3 + [False] * 3


def test_line_options_reach_matplotlib(clf):
    display = TrainingCurveDisplay.from_estimator(
        clf, line_kw={"color": "red", "label": "c"}, mark_kw={"color": "green"}
    )
    assert display.lines_[0].get_color() == "red"
    assert display.marks_[0].get_color() == "green"


@pytest.mark.parametrize(
    ("layer", "name"), [(-1, "layers.2"), ("layers.1", "layers.1")]
)
def test_scores_are_those_of_hessian_scores(layer, name, clf):
    display = HessianScoresDisplay.from_estimator(clf, X, Y, layer=layer)
    expected = scores_of(clf, name)
    # the loss as a weighted sum instead of a mean
    np.testing.assert_allclose(display.scores, expected, rtol=len(X) * 2**-52)


def test_sample_weights_count_in_the_scores(clf):
    weight = np.arange(len(Y)) % 2
    display = HessianScoresDisplay.from_estimator(clf, X, Y, sample_weight=weight)
    expected = scores_of(clf, "layers.2", slice(1, None, 2))
    np.testing.assert_allclose(display.scores, expected, rtol=len(X) * 2**-52)


def test_top_k_percent_are_outlined(clf):
    display = HessianScoresDisplay.from_estimator(clf, X, Y, layer="layers.1", k=25)
    order = np.sort(display.scores.ravel())[::-1]
    assert display.selected.sum() == 12
    assert display.scores[display.selected].min() == order[11]
    assert display.scores[~display.selected].max() == order[12]


def test_k_is_the_estimators_unless_given(clf):
    display = HessianScoresDisplay.from_estimator(clf, X, Y, layer="layers.1")
    assert display.selected.sum() == 5


def test_k_0_outlines_nothing(clf):
    display = HessianScoresDisplay.from_estimator(clf, X, Y, k=0)
    assert display.outline_ is None
    assert display.ax_.get_title() == "Output layer"


def test_title_names_the_layer_and_what_is_outlined(clf):
    display = HessianScoresDisplay.from_estimator(clf, X, Y, layer=0, k=5)
    assert display.ax_.get_title() == "Hidden layer 1: top 5 % of weights outlined"


def test_bad_k_is_refused(clf):
    with pytest.raises(ValueError, match=r"'k'.*101"):
        HessianScoresDisplay.from_estimator(clf, X, Y, k=101)


def test_whole_units_are_outlined_under_unit_granularity():
    clf = make(granularity="unit", k=30).fit(X, Y)
    display = HessianScoresDisplay.from_estimator(clf, X, Y, layer=1)
    best = display.scores.mean(1).argsort()[-2:]
    assert display.selected[best].all()
    assert display.selected.sum() == 2 * 8


def test_global_scope_outlines_the_top_of_all_layers_together():
    clf = make(scope="global", n=3, k=20).fit(X, Y)
    selected = [
        HessianScoresDisplay.from_estimator(clf, X, Y, layer=i).selected.sum()
        for i in range(3)
    ]
    assert sum(selected) == np.ceil(0.2 * (4 * 8 + 8 * 6 + 6 * 3))
    assert selected[2] != np.ceil(0.2 * 18)


def test_layer_that_takes_no_part_is_outlined_by_itself():
    clf = make(scope="global", n=2, k=20).fit(X, Y)
    display = HessianScoresDisplay.from_estimator(clf, X, Y, layer=0)
    assert display.selected.sum() == np.ceil(0.2 * 32)


def test_outline_runs_around_the_selected_cells():
    selected = np.zeros((3, 4), bool)
    selected[1, 1:3] = True
    display = HessianScoresDisplay(scores=np.ones((3, 4)), selected=selected).plot()
    segments = {tuple(map(tuple, s)) for s in display.outline_.get_segments()}
    assert segments == {
        ((0.5, 0.5), (2.5, 0.5)),
        ((0.5, 1.5), (2.5, 1.5)),
        ((0.5, 0.5), (0.5, 1.5)),
        ((2.5, 0.5), (2.5, 1.5)),
    }


def test_wide_layer_is_sorted_and_grouped_to_averages():
    rng = np.random.default_rng(0)
    S = rng.random((3, 100))
    display = HessianScoresDisplay(scores=S, selected=S > 0.5).plot(max_cells=10)
    assert [list(unit) for unit in display.units_] == [[0], [1], [2]]
    order = np.concatenate(display.inputs_)
    assert (np.diff(S.sum(0)[order]) <= 0).all()
    shown = display.mesh_.get_array()
    np.testing.assert_allclose(shown[1, 0], S[1, order[:10]].mean())
    assert display.ax_.get_xlabel() == "input (by score, 10 per cell)"
    assert display.ax_.get_xlim() == (-0.5, 99.5)


@pytest.mark.parametrize("sort", [True, False])
def test_sorting_can_be_chosen(sort):
    S = np.array([[1.0, 2.0], [3.0, 4.0]])
    display = HessianScoresDisplay(scores=S).plot(sort=sort)
    assert [int(unit[0]) for unit in display.units_] == ([1, 0] if sort else [0, 1])


@pytest.mark.parametrize("S", [np.zeros((2, 3)), np.ones((2, 3)), np.diag([0, 1.0])])
def test_scores_without_a_range_are_drawn(S):
    display = HessianScoresDisplay(scores=S, selected=S > 0).plot()
    display.figure_.canvas.draw()
    low, high = display.mesh_.get_clim()
    assert np.isfinite([low, high]).all()
    assert low < high
    assert display.mesh_.get_array().shape == S.shape


def test_convolution_is_refused_with_the_way_out():
    with pytest.raises(ValueError, match=r"\(2, 1, 3\).*flatten\(1\)"):
        HessianScoresDisplay(scores=np.ones((2, 1, 3))).plot()


def test_colorbar_can_be_left_out(clf):
    assert (
        HessianScoresDisplay.from_estimator(clf, X, Y, colorbar=False).colorbar_ is None
    )


def test_overlap_of_each_layer_is_drawn_beside_chance(clf):
    display = ReinitHistoryDisplay.from_estimator(clf)
    records = clf.reinit_history_
    assert [line.get_label() for line in display.lines_] == [
        "hidden layer 2",
        "output layer",
    ]
    for line, own in zip(display.lines_, (records[::2], records[1::2]), strict=True):
        assert list(line.get_xdata()) == [3, 5]
        np.testing.assert_array_equal(line.get_ydata(), [r["overlap"] for r in own])
    chance = display.ax_.get_lines()[2]
    assert list(chance.get_xdata()) == [5]
    np.testing.assert_allclose(chance.get_ydata(), [5 / 48], rtol=2**-23)


def test_layers_of_a_net_of_ones_own_keep_their_names(clf):
    records = [{**record, "layer": "encoder"} for record in clf.reinit_history_[::2]]
    display = ReinitHistoryDisplay(reinit_history=records).plot()
    assert [line.get_label() for line in display.lines_] == ["encoder"]


def test_count_of_one_layer_is_drawn(clf):
    display = ReinitHistoryDisplay.from_estimator(clf, kind="count", layer=-2)
    (line,) = display.lines_
    assert list(line.get_ydata()) == [5, 5]


def test_counts_of_unlike_layers_are_drawn_on_a_logarithmic_axis():
    clf = make(hidden_layer_sizes=(70, 20), n=3).fit(X, Y)
    display = ReinitHistoryDisplay.from_estimator(clf, kind="count")
    assert display.ax_.get_yscale() == "log"
    layers = ReinitHistoryDisplay.from_estimator(clf, kind="count", layer=0)
    assert layers.ax_.get_yscale() == "linear"


def test_share_of_each_unit_is_drawn_for_the_last_layer(clf):
    display = ReinitHistoryDisplay.from_estimator(clf, kind="units")
    records = [r for r in clf.reinit_history_ if r["layer"] == "layers.2"]
    shown = display.mesh_.get_array().filled(0)
    np.testing.assert_array_equal(
        shown, np.transpose([r["unit_share"] for r in records])
    )
    assert display.ax_.get_xlim() == (2, 6)
    assert display.colorbar_ is not None


def test_units_of_a_wide_layer_are_sorted_by_share_and_grouped(clf):
    display = ReinitHistoryDisplay.from_estimator(
        clf, kind="units", layer=1, max_cells=2
    )
    records = [r for r in clf.reinit_history_ if r["layer"] == "layers.1"]
    totals = np.sum([r["unit_share"] for r in records], 0)
    assert (np.diff(totals[np.concatenate(display.units_)]) <= 0).all()
    assert display.mesh_.get_array().shape == (2, 2)


@pytest.mark.parametrize("kind", ["overlap", "count", "units"])
def test_single_event_is_drawn(kind):
    clf = make(max_iter=2).fit(X, Y)
    display = ReinitHistoryDisplay.from_estimator(clf, kind=kind)
    display.figure_.canvas.draw()
    low, high = display.ax_.get_xlim()
    assert low < 2 < high


def test_history_without_events_is_refused():
    clf = make(k=0).fit(X, Y)
    with pytest.raises(ValueError, match=r"Nothing was re-initialised.*k > 0"):
        ReinitHistoryDisplay.from_estimator(clf)


def test_layer_that_was_not_re_initialised_is_refused(clf):
    with pytest.raises(ValueError, match=r"'layers.0' was not.*'layers.1'"):
        ReinitHistoryDisplay.from_estimator(clf, layer=0)


def test_unknown_kind_is_refused(clf):
    with pytest.raises(ValueError, match=r"'kind'.*'weights'"):
        ReinitHistoryDisplay.from_estimator(clf, kind="weights")


QUALITY = {
    "quality": [0.1, 0.2, 0.2, 0.45, 0.6, 0.9],
    "y": ["a", "a", "b", "c", "a", "b"],
    "likely": ["b", "b", "a", "a", "a", "b"],
}


def test_rows_below_each_threshold_are_counted_by_the_label_given():
    display = LabelQualityDisplay(**QUALITY).plot()
    counts = {line.get_label(): list(line.get_ydata()) for line in display.lines_}
    thresholds = list(display.lines_[0].get_xdata())
    at = [thresholds.index(t) for t in (0.0, 0.15, 0.3, 0.5)]
    assert {label: [n[i] for i in at] for label, n in counts.items()} == {
        "a": [0, 1, 2, 2],
        "b": [0, 0, 1, 1],
        "c": [0, 0, 0, 1],
    }


def test_classes_beyond_the_fourth_line_are_counted_together():
    y = list("aaaabbbccdef")
    display = LabelQualityDisplay(quality=[0.1] * 12, y=y, likely=["g"] * 12).plot()
    ends = {line.get_label(): line.get_ydata()[-1] for line in display.lines_}
    assert ends == {"a": 4, "b": 3, "c": 2, "all others": 3}


@pytest.mark.parametrize(
    ("threshold", "pairs"),
    [(0.5, [[0, 2, 0], [1, 0, 0], [1, 0, 0]]), (0.15, [[0, 1, 0], [0] * 3, [0] * 3])],
)
def test_pairs_are_those_of_suspicious_rows(threshold, pairs):
    display = LabelQualityDisplay(**QUALITY).plot(threshold=threshold)
    assert list(display.shown_) == ["a", "b", "c"]
    assert display.pairs_.tolist() == pairs


def test_the_classes_of_most_suspicious_labels_are_shown():
    display = LabelQualityDisplay(**QUALITY).plot(max_classes=2)
    assert list(display.shown_) == ["a", "b"]
    assert display.pairs_.tolist() == [[0, 2], [1, 0]]


def test_labels_without_a_suspicious_one_are_drawn():
    display = LabelQualityDisplay(quality=[0.9, 0.8], y=[0, 1], likely=[0, 1]).plot()
    assert display.pairs_.tolist() == [[0, 0], [0, 0]]


def test_label_quality_is_that_of_the_classifier(clf):
    if isinstance(clf, HessianRegularizedMLPRegressor):
        with pytest.raises(ValueError, match="Regressor, which has no classes"):
            LabelQualityDisplay.from_estimator(clf, X, Y)
        return
    axes = plt.subplots(ncols=2)[1]
    display = LabelQualityDisplay.from_estimator(clf, X, Y, ax=axes)
    assert np.array_equal(display.quality, clf.label_quality(X, Y))
    assert np.array_equal(display.likely, clf.predict(X))
    assert all(a is b for a, b in zip(display.axes_, axes, strict=True))


def test_label_quality_of_a_pipeline_is_that_of_its_last_step():
    pipe = make_pipeline(StandardScaler(), make()).fit(X, Y)
    display = LabelQualityDisplay.from_estimator(pipe, X, Y)
    expected = pipe[-1].label_quality(pipe[:-1].transform(X), Y)
    assert np.array_equal(display.quality, expected)


def test_label_quality_of_several_labels_is_refused():
    labels = np.column_stack([Y == 0, Y == 1]).astype(int)
    with pytest.raises(ValueError, match="several labels for a row"):
        LabelQualityDisplay.from_estimator(make().fit(X, labels), X, labels)


@pytest.mark.parametrize(
    "option", [{"threshold": t} for t in (0, 0.6, "a")] + [{"max_classes": 0}], ids=str
)
def test_options_of_label_quality_without_meaning_are_refused(option):
    (name,) = option
    with pytest.raises(ValueError, match=f"'{name}' parameter of LabelQualityDisplay"):
        LabelQualityDisplay(**QUALITY).plot(**option)


def test_arrays_of_label_quality_of_other_lengths_are_refused():
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        LabelQualityDisplay(**{**QUALITY, "y": ["a"]}).plot()


def test_label_quality_needs_two_axes():
    with pytest.raises(ValueError, match="ax has 1 axes"):
        LabelQualityDisplay(**QUALITY).plot(plt.subplots()[1])
