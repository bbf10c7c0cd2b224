"""TrainingCurveDisplay: loss and validation score over the epochs, networks marked."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._optional_dependencies import check_matplotlib_support

from sklearn_hessreg._display._estimator import fitted_mlp
from sklearn_hessreg._display._style import (
    add_legend,
    count_in_integers,
    new_axes,
    plot_line,
)
from sklearn_hessreg._typing import Style

if TYPE_CHECKING:  # matplotlib is imported only to draw
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.lines import Line2D


TAIL = 5  # percent of the epochs that may lie beyond either limit of the axes
FEW_EPOCHS = 20  # are all shown


class TrainingCurveDisplay:
    """Training loss and validation score, with the networks kept marked.

    It is recommended to use :meth:`from_estimator`. All parameters are stored as
    attributes.

    Parameters
    ----------
    loss_curve : array-like of shape (n_epochs,)
        Training loss after each epoch.
    validation_scores : array-like of shape (n_epochs,), default=None
        Validation score after each epoch, NaN where there is none.
    snapshot_epochs : array-like of int, default=()
        The last epochs, counted from 1, of the networks kept.
    score_name : str, default="accuracy"
        Name of the validation score.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        The axes of the loss and, below them, those of the validation scores if there
        are any.
    figure_ : matplotlib Figure
        The figure.
    lines_ : list of matplotlib Line2D
        The curve in each of the axes.
    marks_ : list of matplotlib Line2D
        The marks of the networks kept in each of the axes; empty if there are none.

    See Also
    --------
    ReinitHistoryDisplay : What was re-initialised over the epochs.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_hessreg import HessianRegularizedMLPClassifier
    >>> from sklearn_hessreg import TrainingCurveDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = HessianRegularizedMLPClassifier(
    ...     max_iter=200, learning_rate_init=0.01, random_state=0
    ... )
    >>> display = TrainingCurveDisplay.from_estimator(clf.fit(X, y))
    >>> len(display.axes_)
    2
    """

    axes_: "NDArray[Any]"
    figure_: "Figure | SubFigure"
    lines_: "list[Line2D]"
    marks_: "list[Line2D]"

    def __init__(
        self,
        *,
        loss_curve: Sequence[float] | NDArray[Any],
        validation_scores: Sequence[float] | NDArray[Any] | None = None,
        snapshot_epochs: Sequence[int] | NDArray[Any] = (),
        score_name: str = "accuracy",
    ) -> None:
        self.loss_curve = loss_curve
        self.validation_scores = validation_scores
        self.snapshot_epochs = snapshot_epochs
        self.score_name = score_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        name: str | None = None,
        ax: "Axes | Sequence[Axes] | NDArray[Any] | None" = None,
        line_kw: Style = None,
        mark_kw: Style = None,
    ) -> Self:
        """Draw the training of a fitted MLP.

        Parameters
        ----------
        estimator : HessianRegularizedMLPClassifier, \
                HessianRegularizedMLPRegressor or Pipeline
            A fitted estimator, or a fitted pipeline that ends with one.
        name : str, default=None
            Label of the curves.
        ax : matplotlib Axes or sequence of two of them, default=None
            Where to draw, see :meth:`plot`.
        line_kw : dict, default=None
            Passed to matplotlib's ``plot`` for the curves.
        mark_kw : dict, default=None
            Passed to matplotlib's ``plot`` for the marks of the networks kept.

        Returns
        -------
        display : TrainingCurveDisplay
            The display.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        mlp = fitted_mlp(estimator)
        rows = [row for row in mlp.history_ if "train_loss" in row]
        spec = mlp.net_.spec
        scores = [row.get(spec.score_column, np.nan) for row in rows]
        display = cls(
            loss_curve=[row["train_loss"] for row in rows],
            validation_scores=None if np.isnan(scores).all() else scores,
            snapshot_epochs=[snapshot.epoch for snapshot in mlp.net_.snapshots_],
            score_name=spec.score_name,
        )
        return display.plot(ax, name=name, line_kw=line_kw, mark_kw=mark_kw)

    def plot(
        self,
        ax: "Axes | Sequence[Axes] | NDArray[Any] | None" = None,
        *,
        name: str | None = None,
        line_kw: Style = None,
        mark_kw: Style = None,
    ) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of two of them, default=None
            Where to draw. If there are validation scores, a single Axes is divided into
            two, one below the other. Pass the ``axes_`` of another display to draw over
            it. None draws in a new figure.
        name : str, default=None
            Label of the curves, for a legend that tells several estimators apart.
        line_kw : dict, default=None
            Passed to matplotlib's ``plot`` for the curves.
        mark_kw : dict, default=None
            Passed to matplotlib's ``plot`` for the marks of the networks kept.

        Returns
        -------
        self : TrainingCurveDisplay
            The display.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        curves = [("training\nloss", self.loss_curve)]
        if self.validation_scores is not None:
            curves.append((f"validation\n{self.score_name}", self.validation_scores))
        self.axes_ = _panels(ax, len(curves))
        self.figure_ = self.axes_[0].figure
        self.lines_, self.marks_ = [], []
        for panel, (label, values) in zip(self.axes_, curves, strict=True):
            epochs = np.arange(1, len(values) + 1)
            # only the networks kept are marked
            style = {"marker": "", **(line_kw or {})}
            line = plot_line(panel, epochs, np.asarray(values), name, style)
            self.lines_.append(line)
            self._mark_snapshots(panel, line, mark_kw)
            _limit(
                panel,
                np.asarray(values, dtype=float),
                shared=panel.lines[0] is not line,
            )
            panel.set_ylabel(label, labelpad=1, linespacing=1.1)
            count_in_integers(panel.xaxis)
        self.axes_[-1].set_xlabel("epoch")
        if name is not None or self.marks_:
            add_legend(self.axes_[0])
        return self

    def _mark_snapshots(self, ax, line, mark_kw):
        """Mark the networks kept on their curve."""
        x = np.asarray(self.snapshot_epochs, dtype=int)
        if len(x) == 0:
            return
        label = "network kept"
        if label in ax.get_legend_handles_labels()[1]:
            label = None  # once in the legend is enough
        style = {
            "linestyle": "None",
            "marker": "o",
            "markersize": 6,
            "markerfacecolor": "white",
            "markeredgewidth": 1.5,
            "color": line.get_color(),
            "label": label,
            "zorder": 3,
        }
        self.marks_ += ax.plot(
            x, line.get_ydata()[x - 1], **{**style, **(mark_kw or {})}
        )


def _limit(ax, values, shared):
    """Limit the axes to most of a curve, as its first epochs would flatten the rest."""
    values = values[np.isfinite(values)]
    if len(values) < FEW_EPOCHS:
        return
    lower, upper = np.percentile(values, [TAIL, 100 - TAIL])
    margin = 0.1 * (upper - lower)
    limits = lower - margin, upper + margin
    if shared:  # with another curve
        limits = min(limits[0], ax.get_ylim()[0]), max(limits[1], ax.get_ylim()[1])
    if margin > 0:
        ax.set_ylim(limits)


def _panels(ax, count):
    """Return the axes of the curves as an array; a single one is divided if needed."""
    axes = np.atleast_1d(new_axes(ax))
    if len(axes) == 1 and count == 2:
        axes = _divided(axes[0])
    if len(axes) != count:
        raise ValueError(
            f"ax has {len(axes)} axes for {count} curves. Pass one, {count}, or None."
        )
    return axes


def _divided(ax):
    """Divide axes into an upper and a lower half that share the epochs."""
    # insets, because every layout engine makes room for their labels
    ax.set_axis_off()
    lower = ax.inset_axes([0, 0, 1, 0.47])
    upper = ax.inset_axes([0, 0.53, 1, 0.47], sharex=lower)
    upper.tick_params(labelbottom=False)
    return np.array([upper, lower])
