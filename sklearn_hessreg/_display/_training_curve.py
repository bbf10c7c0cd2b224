"""TrainingCurveDisplay: loss and validation score over the epochs, with events."""

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


class TrainingCurveDisplay:
    """Training loss and validation score, with the re-initialisations marked.

    It is recommended to use :meth:`from_estimator`. All parameters are stored as
    attributes.

    Parameters
    ----------
    loss_curve : array-like of shape (n_epochs,)
        Training loss after each epoch.
    validation_scores : array-like of shape (n_epochs,), default=None
        Validation score after each epoch, NaN where there is none.
    reinit_epochs : array-like of int, default=()
        The epochs, counted from 1, that start with a re-initialisation.
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
    events_ : list of matplotlib Line2D
        The marks of the re-initialisations in each of the axes; empty if there are
        none.

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
    events_: "list[Line2D]"

    def __init__(
        self,
        *,
        loss_curve: Sequence[float] | NDArray[Any],
        validation_scores: Sequence[float] | NDArray[Any] | None = None,
        reinit_epochs: Sequence[int] | NDArray[Any] = (),
        score_name: str = "accuracy",
    ) -> None:
        self.loss_curve = loss_curve
        self.validation_scores = validation_scores
        self.reinit_epochs = reinit_epochs
        self.score_name = score_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        name: str | None = None,
        ax: "Axes | Sequence[Axes] | NDArray[Any] | None" = None,
        line_kw: Style = None,
        event_kw: Style = None,
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
        event_kw : dict, default=None
            Passed to matplotlib's ``plot`` for the marks of the re-initialisations.

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
            reinit_epochs=sorted({record["epoch"] for record in mlp.reinit_history_}),
            score_name=spec.score_name,
        )
        return display.plot(ax, name=name, line_kw=line_kw, event_kw=event_kw)

    def plot(
        self,
        ax: "Axes | Sequence[Axes] | NDArray[Any] | None" = None,
        *,
        name: str | None = None,
        line_kw: Style = None,
        event_kw: Style = None,
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
        event_kw : dict, default=None
            Passed to matplotlib's ``plot`` for the marks of the re-initialisations.
            The marks are at the lower border, between the epochs before and after.

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
        self.lines_, self.events_ = [], []
        for panel, (label, values) in zip(self.axes_, curves, strict=True):
            epochs = np.arange(1, len(values) + 1)
            line = plot_line(panel, epochs, np.asarray(values), name, line_kw)
            self.lines_.append(line)
            self._mark_events(panel, line, event_kw)
            panel.set_ylabel(label, labelpad=1, linespacing=1.1)
            count_in_integers(panel.xaxis)
        self.axes_[-1].set_xlabel("epoch")
        if name is not None or self.events_:
            add_legend(self.axes_[0])
        return self

    def _mark_events(self, ax, line, event_kw):
        """Mark the re-initialisations at the lower border of the axes."""
        x = np.asarray(self.reinit_epochs) - 0.5
        if len(x) == 0:
            return
        label = "re-initialised"
        if label in ax.get_legend_handles_labels()[1]:
            label = None  # once in the legend is enough
        style = {
            "linestyle": "None",
            "marker": "|",
            "markersize": 6,
            "markeredgewidth": min(1, 60 / len(x)),  # distinct even if there are many
            "color": line.get_color(),
            "label": label,
            "transform": ax.get_xaxis_transform(),
            "zorder": 1,
        }
        self.events_ += ax.plot(
            x, np.full(len(x), 0.03), **{**style, **(event_kw or {})}
        )


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
