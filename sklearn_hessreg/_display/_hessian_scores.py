"""HessianScoresDisplay: a heat map of a layer's scores, top k percent outlined."""

from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils._param_validation import Interval, validate_parameter_constraints

from sklearn_hessreg._display import _heat_map
from sklearn_hessreg._display._estimator import (
    fitted_mlp,
    layer_name,
    layer_names,
    transformed,
)
from sklearn_hessreg._display._style import (
    count_in_integers,
    layer_label,
    new_axes,
)
from sklearn_hessreg._reinit import reduce_units, select_top_k
from sklearn_hessreg._typing import MatrixLike, Style

if TYPE_CHECKING:  # matplotlib is imported only to draw
    from matplotlib.axes import Axes
    from matplotlib.collections import LineCollection, QuadMesh
    from matplotlib.colorbar import Colorbar
    from matplotlib.figure import Figure, SubFigure

# scores below this share of the highest are drawn as the lowest
_RANGE = 1e-4


class HessianScoresDisplay:
    """Scores of the weights of a layer, with the top k percent outlined.

    The rows of the heat map are the layer's units and the columns its inputs, so it has
    the shape of torch's weight. Colours are logarithmic, from light to dark. Zeros and
    scores below a ten-thousandth of the highest are white.

    It is recommended to use :meth:`from_estimator`. All parameters are stored as
    attributes.

    Parameters
    ----------
    scores : array-like of shape (n_units, n_inputs)
        Scores from :func:`hessian_scores`; for a convolution, flatten all dimensions
        but the first.
    selected : array-like of bool of the same shape, default=None
        The weights to outline.
    title : str, default=None
        Title of the axes.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        The figure.
    mesh_ : matplotlib QuadMesh
        The heat map.
    outline_ : matplotlib LineCollection or None
        The outline; None if nothing is selected.
    colorbar_ : matplotlib Colorbar or None
        The colour bar.
    units_, inputs_ : list of ndarray of int
        The units in each row of the heat map, and the inputs in each column.

    See Also
    --------
    hessian_scores : Compute the scores of any torch module.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_hessreg import HessianRegularizedMLPClassifier
    >>> from sklearn_hessreg import HessianScoresDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = HessianRegularizedMLPClassifier(k=10, tol=0.1, random_state=0)
    >>> clf = clf.fit(X, y)
    >>> display = HessianScoresDisplay.from_estimator(clf, X, y, layer="layers.1")
    >>> int(display.selected.sum())
    30
    """

    ax_: "Axes"
    figure_: "Figure | SubFigure"
    mesh_: "QuadMesh"
    outline_: "LineCollection | None"
    colorbar_: "Colorbar | None"
    units_: list[NDArray[Any]]
    inputs_: list[NDArray[Any]]

    def __init__(
        self,
        *,
        scores: ArrayLike,
        selected: ArrayLike | None = None,
        title: str | None = None,
    ) -> None:
        self.scores = scores
        self.selected = selected
        self.title = title

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: MatrixLike,
        y: MatrixLike,
        *,
        layer: int | str = -1,
        k: float | None = None,
        sample_weight: ArrayLike | None = None,
        ax: "Axes | None" = None,
        sort: bool | Literal["auto"] = "auto",
        max_cells: int = 64,
        colorbar: bool = True,
        mesh_kw: Style = None,
        outline_kw: Style = None,
    ) -> Self:
        """Compute and draw the scores of a layer of a fitted MLP.

        The scores come from the exact Hessian at the trained weights, whatever the
        estimator's ``importance``. They use its ``aggregation``, ``curvature``,
        ``granularity`` and ``class_weight``. Under ``granularity="unit"``, the units
        with the highest combined scores are outlined. Under ``scope="global"``, the top
        k percent of the last ``n`` layers together is outlined, if the layer is one of
        them.

        Parameters
        ----------
        estimator : HessianRegularizedMLPClassifier, \
                HessianRegularizedMLPRegressor or Pipeline
            A fitted estimator, or a fitted pipeline that ends with one.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The Hessian samples; all are used. Hidden layers take time: a few hundred
            samples are enough.
        y : array-like of shape (n_samples,)
            Their labels.
        layer : int or str, default=-1
            Index of the layer in ``coefs_``, or its name in ``reinit_history_``.
        k : float, default=None
            Percent of the weights (or units) to outline, from 0 to 100; None uses the
            estimator's ``k``.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples.
        ax : matplotlib Axes, default=None
            Where to draw; None draws in a new figure.
        sort : bool or "auto", default="auto"
            Whether to sort units and inputs by their total score, see :meth:`plot`.
        max_cells : int, default=64
            Maximum number of units, and of inputs, to draw one by one, see
            :meth:`plot`.
        colorbar : bool, default=True
            Whether to draw a colour bar.
        mesh_kw : dict, default=None
            Passed to matplotlib's ``pcolormesh``.
        outline_kw : dict, default=None
            Passed to matplotlib's ``LineCollection`` for the outline.

        Returns
        -------
        display : HessianScoresDisplay
            The display.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        mlp = fitted_mlp(estimator)
        name = layer_name(mlp, layer)
        method = mlp.net_.method
        k = method.k if k is None else k
        validate_parameter_constraints(
            {"k": [Interval(Real, 0, 100, closed="both")]}, {"k": k}, cls.__name__
        )
        together = method.scope == "global"
        names = layer_names(mlp)[-(method.n or 0) :] if together else [name]
        names = names if name in names else [name]
        scores = mlp.hessian_scores(
            transformed(estimator, X), y, sample_weight, layers=names
        )
        display = cls(
            scores=scores[name],
            selected=_select(method, scores, k)[name],
            title=_title(
                method, layer_label(name, layer_names(mlp)[-1]), k, len(names)
            ),
        )
        return display.plot(
            ax,
            sort=sort,
            max_cells=max_cells,
            colorbar=colorbar,
            mesh_kw=mesh_kw,
            outline_kw=outline_kw,
        )

    def plot(
        self,
        ax: "Axes | None" = None,
        *,
        sort: bool | Literal["auto"] = "auto",
        max_cells: int = 64,
        colorbar: bool = True,
        mesh_kw: Style = None,
        outline_kw: Style = None,
    ) -> Self:
        """Draw the heat map.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None draws in a new figure.
        sort : bool or "auto", default="auto"
            Whether to sort units and inputs by their total score, the highest first.
            ``"auto"`` sorts those that are grouped.
        max_cells : int, default=64
            If there are more units, or inputs, than this, neighbours are grouped. A
            cell then shows an average, and is outlined if at least half of its weights
            are selected.
        colorbar : bool, default=True
            Whether to draw a colour bar.
        mesh_kw : dict, default=None
            Passed to matplotlib's ``pcolormesh``.
        outline_kw : dict, default=None
            Passed to matplotlib's ``LineCollection`` for the outline.

        Returns
        -------
        self : HessianScoresDisplay
            The display.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        S = _check_matrix(self.scores)
        totals = S.sum(1), S.sum(0)
        sorts = [len(t) > max_cells if sort == "auto" else sort for t in totals]
        self.units_, self.inputs_ = (
            _heat_map.group(t, s, max_cells) for t, s in zip(totals, sorts, strict=True)
        )
        self.ax_ = new_axes(ax)
        self.figure_ = self.ax_.figure
        self.mesh_ = self._draw_mesh(self._average(S), mesh_kw)
        self.outline_ = self._draw_outline(outline_kw)
        self.colorbar_ = None
        if colorbar:
            self.colorbar_ = self.figure_.colorbar(
                self.mesh_, ax=self.ax_, label="score", extend="min"
            )
        self.ax_.set(
            xlabel=_heat_map.axis_label("input", self.inputs_, sorts[1] and "score"),
            ylabel=_heat_map.axis_label("unit", self.units_, sorts[0] and "score"),
            ylim=(len(S) - 0.5, -0.5),
        )
        if self.title is not None:
            self.ax_.set_title(self.title)
        return self

    def _average(self, matrix):
        """Average a matrix over the groups of units and inputs."""
        return _heat_map.average(
            _heat_map.average(matrix, self.units_, 0), self.inputs_, 1
        )

    def _draw_mesh(self, S, mesh_kw):
        """Draw the scores on a logarithmic colour scale."""
        import matplotlib as mpl

        top = S.max() if S.max() > 0 else 1.0
        low = max(S[S > 0].min(initial=top), _RANGE * top)
        cmap = mpl.colormaps["YlGnBu"].with_extremes(under="white")
        norm = mpl.colors.LogNorm(low if low < top else top / 10, top)
        for axis in (self.ax_.xaxis, self.ax_.yaxis):
            count_in_integers(axis)
        return self.ax_.pcolormesh(
            _heat_map.edges(self.inputs_),
            _heat_map.edges(self.units_),
            np.maximum(S, low / 2),  # a logarithmic scale has no colour for zero
            **{"cmap": cmap, "norm": norm, "rasterized": True, **(mesh_kw or {})},
        )

    def _draw_outline(self, outline_kw):
        """Draw the outline, dark inside light, so it stands out against any colour."""
        from matplotlib.collections import LineCollection
        from matplotlib.patheffects import Normal, Stroke

        if self.selected is None or not np.any(self.selected):
            return None
        marked = self._average(np.asarray(self.selected, float)) >= 0.5
        segments = _heat_map.borders(
            marked, _heat_map.edges(self.inputs_), _heat_map.edges(self.units_)
        )
        style = {
            "colors": "black",
            "linewidths": 0.9,
            "capstyle": "projecting",
            "path_effects": [Stroke(linewidth=2.2, foreground="white"), Normal()],
        }
        outline = LineCollection(segments, **{**style, **(outline_kw or {})})
        return self.ax_.add_collection(outline, autolim=False)


def _select(method, scores, k):
    """Mark the top k percent of the weights, as the method would select them."""
    ranked = {name: torch.from_numpy(S) for name, S in scores.items()}
    if method.granularity == "unit":
        ranked = reduce_units(ranked, method.aggregation)
    masks = select_top_k(ranked, k, method.scope)
    return {
        name: np.broadcast_to(mask.numpy().reshape(len(mask), -1), scores[name].shape)
        for name, mask in masks.items()
    }


def _title(method, name, k, n_layers):
    """Name the layer and what is outlined in it."""
    name = name.capitalize()
    if k == 0:
        return name
    among = "units" if method.granularity == "unit" else "weights"
    if n_layers > 1:
        among = f"{n_layers} layers"
    return f"{name}: top {k:g} % of {among} outlined"


def _check_matrix(scores):
    """Return the scores as a matrix of floats."""
    S = np.asarray(scores, dtype=float)
    if S.ndim != 2:
        raise ValueError(
            f"scores has shape {S.shape}, a heat map needs two dimensions. Flatten all "
            "but the first, as scores.flatten(1) does."
        )
    return S
