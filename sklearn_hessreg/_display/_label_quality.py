"""LabelQualityDisplay: how many labels are suspicious, and what they look like."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import is_classifier
from sklearn.metrics import ConfusionMatrixDisplay, confusion_matrix
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils._param_validation import Interval, validate_parameter_constraints
from sklearn.utils.validation import check_consistent_length, column_or_1d

from sklearn_hessreg._display._estimator import fitted_mlp, transformed
from sklearn_hessreg._display._style import add_legend, count_in_integers, plot_line
from sklearn_hessreg._typing import MatrixLike

if TYPE_CHECKING:  # matplotlib is imported only to draw
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.lines import Line2D

_CONSTRAINTS = {
    "threshold": [Interval(Real, 0, 0.5, closed="right")],
    "max_classes": [Interval(Integral, 1, None, closed="left")],
}
_LINES = 4  # distinct lines, the last of them for all other classes


class LabelQualityDisplay:
    """Suspicious labels by threshold and class, and the most frequent confusions.

    It is recommended to use :meth:`from_estimator`. All parameters are stored as
    attributes.

    Parameters
    ----------
    quality : array-like of shape (n_samples,)
        The ``label_quality`` of each row.
    y : array-like of shape (n_samples,)
        The given label of each row.
    likely : array-like of shape (n_samples,)
        The label that the networks would give each row.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        Left: the number of rows with quality below each threshold, one line per given
        class. Right: the pairs of labels.
    figure_ : matplotlib Figure
        The figure.
    lines_ : list of matplotlib Line2D
        The lines on the left.
    pairs_ : ndarray of shape (n_shown, n_shown)
        The counts on the right: samples labelled as the class of the row that look like
        the class of the column.
    shown_ : ndarray of shape (n_shown,)
        The classes in ``pairs_``: those with the most suspicious labels.

    See Also
    --------
    HessianRegularizedMLPClassifier.label_quality : The score of each row.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_hessreg import HessianRegularizedMLPClassifier
    >>> from sklearn_hessreg import LabelQualityDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> y[:10] = 1  # were 0
    >>> clf = HessianRegularizedMLPClassifier(learning_rate_init=0.01, random_state=0)
    >>> display = LabelQualityDisplay.from_estimator(clf.fit(X, y), X, y)
    >>> row, column = list(display.shown_).index(1), list(display.shown_).index(0)
    >>> print(display.pairs_[row, column])
    10
    """

    axes_: "NDArray[Any]"
    figure_: "Figure | SubFigure"
    lines_: "list[Line2D]"
    pairs_: NDArray[Any]
    shown_: NDArray[Any]

    def __init__(self, *, quality: ArrayLike, y: ArrayLike, likely: ArrayLike) -> None:
        self.quality = quality
        self.y = y
        self.likely = likely

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: MatrixLike,
        y: ArrayLike,
        *,
        threshold: float = 0.5,
        max_classes: int = 10,
        ax: "Sequence[Axes] | NDArray[Any] | None" = None,
    ) -> Self:
        """Draw the quality of given labels under a fitted classifier.

        Parameters
        ----------
        estimator : HessianRegularizedMLPClassifier or Pipeline
            A fitted classifier, or a fitted pipeline that ends with one.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The samples, either those of training or new ones.
        y : array-like of shape (n_samples,)
            The given labels.
        threshold : float, default=0.5
            See :meth:`plot`.
        max_classes : int, default=10
            See :meth:`plot`.
        ax : sequence of two matplotlib Axes, default=None
            See :meth:`plot`.

        Returns
        -------
        display : LabelQualityDisplay
            The display.

        Raises
        ------
        ValueError
            If the estimator is a regressor, or was trained on several labels per row.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        mlp = fitted_mlp(estimator)
        if not is_classifier(mlp):
            raise ValueError(
                f"estimator is a {type(mlp).__name__}, which has no classes. Draw its "
                "label_quality as a histogram."
            )
        X = transformed(estimator, X)
        quality = mlp.label_quality(X, y)
        if quality.ndim == 2:
            raise ValueError(
                "The classifier is trained on several labels for a row, which have no "
                "pairs. Draw a column of its label_quality as a histogram."
            )
        y = column_or_1d(y)
        display = cls(quality=quality, y=y, likely=mlp.predict(X))
        return display.plot(ax, threshold=threshold, max_classes=max_classes)

    def plot(
        self,
        ax: "Sequence[Axes] | NDArray[Any] | None" = None,
        *,
        threshold: float = 0.5,
        max_classes: int = 10,
    ) -> Self:
        """Draw the counts by threshold, and the pairs.

        Parameters
        ----------
        ax : sequence of two matplotlib Axes, default=None
            Where to draw; None draws in a new figure.
        threshold : float, default=0.5
            Rows with lower quality are suspicious. It must be more than 0 and at most
            0.5; above 0.5, the given label is the most likely one.
        max_classes : int, default=10
            Maximum number of classes in the matrix of pairs: those with the most
            suspicious labels.

        Returns
        -------
        self : LabelQualityDisplay
            The display.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        check_consistent_length(self.quality, self.y, self.likely)
        given = {"threshold": threshold, "max_classes": max_classes}
        validate_parameter_constraints(
            _CONSTRAINTS, given, f"{type(self).__name__}.plot"
        )
        self.axes_ = _two_axes(ax)
        self.figure_ = self.axes_[0].figure
        quality, y, likely = map(np.asarray, (self.quality, self.y, self.likely))
        suspicious = quality < threshold
        classes = np.unique(np.concatenate([y, likely]))
        counts = np.array([np.sum(suspicious & (y == label)) for label in classes])
        by_count = classes[np.argsort(-counts, kind="stable")]
        self._draw_counts(self.axes_[0], quality, y, by_count, threshold)
        self.shown_ = np.sort(by_count[:max_classes])
        self._draw_pairs(self.axes_[1], y[suspicious], likely[suspicious])
        return self

    def _draw_counts(self, ax, quality, y, classes, threshold):
        """Draw how many rows are below each threshold, for each given class."""
        alone = len(classes) if len(classes) <= _LINES else _LINES - 1
        groups = {str(label): y == label for label in classes[:alone]}
        if alone < len(classes):
            groups["all others"] = np.isin(y, classes[alone:])
        thresholds = np.linspace(0, 0.5, 101)
        self.lines_ = []
        for label, rows in groups.items():
            below = np.searchsorted(np.sort(quality[rows]), thresholds)
            self.lines_.append(plot_line(ax, thresholds, below, label, None))
        ax.axvline(threshold, color="0.6", linestyle=":", zorder=0)
        ax.set(xlabel="threshold of label quality", ylabel="rows below")
        count_in_integers(ax.yaxis)
        add_legend(ax)
        ax.get_legend().set_title("labelled", {"size": "small"})

    def _draw_pairs(self, ax, y, likely):
        """Draw how often a given label looks like another one."""
        shown = np.isin(y, self.shown_) & np.isin(likely, self.shown_)
        self.pairs_ = np.zeros((len(self.shown_),) * 2, dtype=int)
        if shown.any():
            self.pairs_ = confusion_matrix(y[shown], likely[shown], labels=self.shown_)
        matrix = ConfusionMatrixDisplay(self.pairs_, display_labels=self.shown_)
        matrix.plot(ax=ax, colorbar=False, cmap="Greys", values_format="d")
        ax.set(xlabel="looks like", ylabel="labelled")


def _two_axes(ax):
    """Return the axes as an array, or new ones in a figure of their own."""
    import matplotlib.pyplot as plt

    if ax is None:
        return plt.subplots(ncols=2, figsize=(8, 4), layout="constrained")[1]
    axes = np.atleast_1d(ax)
    if axes.shape != (2,):
        raise ValueError(f"ax has {axes.size} axes. Pass two of them, or None.")
    return axes
