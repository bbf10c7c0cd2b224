"""ReinitHistoryDisplay: what was re-initialised over the epochs."""

from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils._param_validation import StrOptions, validate_parameter_constraints

from sklearn_hessreg._display import _heat_map
from sklearn_hessreg._display._estimator import fitted_mlp, layer_name
from sklearn_hessreg._display._style import (
    add_legend,
    count_in_integers,
    layer_label,
    new_axes,
    plot_line,
)
from sklearn_hessreg._typing import Style

if TYPE_CHECKING:  # matplotlib is imported only to draw
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.colorbar import Colorbar
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.lines import Line2D

# counts with a larger ratio are drawn on a logarithmic axis
_LOG_FROM = 20
_KINDS = ("overlap", "count", "units")


class ReinitHistoryDisplay:
    """How many and which weights were re-initialised over the epochs.

    It is recommended to use :meth:`from_estimator`. For your own skorch net, pass the
    records of its :class:`HessianReinit`. All parameters are stored as attributes.

    Parameters
    ----------
    reinit_history : list of dict
        The records of all events and layers, see :class:`HessianReinit`.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        The figure.
    lines_ : list of matplotlib Line2D or None
        One line for each layer; None under ``kind="units"``.
    mesh_ : matplotlib QuadMesh or None
        The heat map under ``kind="units"``.
    colorbar_ : matplotlib Colorbar or None
        Its colour bar.
    units_ : list of ndarray of int or None
        The units in each row of the heat map.

    See Also
    --------
    HessianScoresDisplay : The scores by which weights are selected.
    TrainingCurveDisplay : The training, with the re-initialisations marked.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_hessreg import HessianRegularizedMLPClassifier
    >>> from sklearn_hessreg import ReinitHistoryDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = HessianRegularizedMLPClassifier(reinit_every=5, max_iter=50)
    >>> display = ReinitHistoryDisplay.from_estimator(clf.fit(X, y))
    >>> display.plot(kind="units").units_[0]
    array([0])
    """

    ax_: "Axes"
    figure_: "Figure | SubFigure"
    lines_: "list[Line2D] | None"
    mesh_: "QuadMesh | None"
    colorbar_: "Colorbar | None"
    units_: list[NDArray[Any]] | None

    def __init__(self, *, reinit_history: list[dict[str, Any]]) -> None:
        self.reinit_history = reinit_history

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        kind: Literal["overlap", "count", "units"] = "overlap",
        layer: int | str | None = None,
        ax: "Axes | None" = None,
        max_cells: int = 64,
        colorbar: bool = True,
        line_kw: Style = None,
        mesh_kw: Style = None,
    ) -> Self:
        """Draw what a fitted MLP re-initialised.

        Parameters
        ----------
        estimator : HessianRegularizedMLPClassifier, \
                HessianRegularizedMLPRegressor or Pipeline
            A fitted estimator, or a fitted pipeline that ends with one.
        kind : {"overlap", "count", "units"}, default="overlap"
            What to draw, see :meth:`plot`.
        layer : int or str, default=None
            Index of the layer in ``coefs_``, or its name in ``reinit_history_``; None
            draws all, or the last one under ``kind="units"``.
        ax : matplotlib Axes, default=None
            Where to draw; None draws in a new figure.
        max_cells : int, default=64
            Maximum number of units to draw one by one, see :meth:`plot`.
        colorbar : bool, default=True
            Whether to draw a colour bar under ``kind="units"``.
        line_kw : dict, default=None
            Passed to matplotlib's ``plot``.
        mesh_kw : dict, default=None
            Passed to matplotlib's ``pcolormesh``.

        Returns
        -------
        display : ReinitHistoryDisplay
            The display.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        mlp = fitted_mlp(estimator)
        return cls(reinit_history=mlp.reinit_history_).plot(
            ax,
            kind=kind,
            layer=None if layer is None else layer_name(mlp, layer),
            max_cells=max_cells,
            colorbar=colorbar,
            line_kw=line_kw,
            mesh_kw=mesh_kw,
        )

    def plot(
        self,
        ax: "Axes | None" = None,
        *,
        kind: Literal["overlap", "count", "units"] = "overlap",
        layer: str | None = None,
        max_cells: int = 64,
        colorbar: bool = True,
        line_kw: Style = None,
        mesh_kw: Style = None,
    ) -> Self:
        """Draw one of three things against the epochs.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None draws in a new figure.
        kind : {"overlap", "count", "units"}, default="overlap"
            ``"overlap"`` is the share of the re-initialised weights that the previous
            event had also re-initialised, next to the share expected by chance.
            ``"count"`` is the number of re-initialised weights (or units). ``"units"``
            is a heat map of the re-initialised share of each output unit's weights,
            white where there are none.
        layer : str, default=None
            Name of the layer as in the records; None draws all, or the last one under
            ``kind="units"``.
        max_cells : int, default=64
            If there are more units than this, the heat map sorts them by their share
            over all epochs and groups neighbours.
        colorbar : bool, default=True
            Whether to draw a colour bar beside the heat map.
        line_kw : dict, default=None
            Passed to matplotlib's ``plot``.
        mesh_kw : dict, default=None
            Passed to matplotlib's ``pcolormesh``.

        Returns
        -------
        self : ReinitHistoryDisplay
            The display.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        validate_parameter_constraints(
            {"kind": [StrOptions(set(_KINDS))]}, {"kind": kind}, type(self).__name__
        )
        layers = self._records(layer)
        self.ax_ = new_axes(ax)
        self.figure_ = self.ax_.figure
        self.lines_ = self.mesh_ = self.colorbar_ = self.units_ = None
        if kind == "units":
            # an event's last record is for the last layer
            name = self.reinit_history[-1]["layer"] if layer is None else layer
            self._draw_units(name, layers[name], max_cells, colorbar, mesh_kw)
        elif kind == "overlap":
            self._draw_overlap(layers, line_kw)
        else:
            self._draw_count(layers, line_kw)
        self.ax_.set_xlabel("epoch")
        count_in_integers(self.ax_.xaxis)
        return self

    def _records(self, layer):
        """Collect the records of each layer."""
        if not self.reinit_history:
            raise ValueError(
                "Nothing was re-initialised: reinit_history is empty. Train with k > 0 "
                "until a cycle has ended: raise max_iter, or lower n_iter_no_change "
                "or an integer reinit_every."
            )
        layers = {}
        for record in self.reinit_history:
            layers.setdefault(record["layer"], []).append(record)
        if layer is None:
            return layers
        if layer not in layers:
            raise ValueError(
                f"layer={layer!r} was not re-initialised, only {sorted(layers)}. Name "
                "one of these, or train with a larger n."
            )
        return {layer: layers[layer]}

    def _draw_overlap(self, layers, line_kw):
        """Draw each layer's overlap, and what chance would give."""
        self.lines_ = [self._line(*item, "overlap", line_kw) for item in layers.items()]
        label = "by chance"
        for records in layers.values():
            epochs = [record["epoch"] for record in records[1:]]
            chance = [record["unit_share"].mean() for record in records[:-1]]
            self.ax_.plot(epochs, chance, color="0.6", linewidth=1, label=label)
            label = None
        self.ax_.set(ylabel="overlap with the previous event", ylim=(-0.03, 1.03))
        add_legend(self.ax_)

    def _draw_count(self, layers, line_kw):
        """Draw how many weights or units of each layer were re-initialised."""
        self.lines_ = [self._line(*item, "count", line_kw) for item in layers.items()]
        self.ax_.set_ylabel("number re-initialised")
        counts = [record["count"] for records in layers.values() for record in records]
        if min(counts) > 0 and max(counts) > _LOG_FROM * min(counts):
            self.ax_.set_yscale("log")
        else:
            self.ax_.set_ylim(bottom=0)
            count_in_integers(self.ax_.yaxis)
        add_legend(self.ax_)

    def _line(self, name, records, key, line_kw):
        """Draw one number from each record as a line."""
        epochs = [record["epoch"] for record in records]
        values = [record[key] for record in records]
        # epochs without a value, such as the first overlap, are shown too
        self.ax_.update_datalim([(epoch, 0.5) for epoch in epochs], updatey=False)
        return plot_line(self.ax_, epochs, values, self._label(name), line_kw)

    def _label(self, name):
        """Name a layer; an event's last record is for the last layer."""
        return layer_label(name, self.reinit_history[-1]["layer"])

    def _draw_units(self, name, records, max_cells, colorbar, mesh_kw):
        """Draw the share of each unit's weights at each event as a heat map."""
        share = np.stack([record["unit_share"] for record in records], 1)
        sort = len(share) > max_cells
        self.units_ = _heat_map.group(share.sum(1), sort, max_cells)
        shown = _heat_map.average(share, self.units_, 0)
        style = {
            "cmap": "YlGnBu",
            "vmin": 0,
            "vmax": shown.max() or 1,
            "rasterized": True,
        }
        self.mesh_ = self.ax_.pcolormesh(
            _between([record["epoch"] for record in records]),
            _heat_map.edges(self.units_),
            np.ma.masked_equal(shown, 0),
            **{**style, **(mesh_kw or {})},
        )
        if colorbar:
            label = "share of the unit re-initialised"
            self.colorbar_ = self.figure_.colorbar(self.mesh_, ax=self.ax_, label=label)
        unit = f"unit of {self._label(name)}"
        ylabel = _heat_map.axis_label(unit, self.units_, sort and "share")
        self.ax_.set(ylabel=ylabel, ylim=(len(share) - 0.5, -0.5))
        count_in_integers(self.ax_.yaxis)


def _between(epochs):
    """Return cell borders halfway between neighbouring epochs."""
    gaps = np.diff(epochs) / 2 if len(epochs) > 1 else np.array([0.5])
    inner = epochs[:-1] + gaps[: len(epochs) - 1]
    return np.concatenate([[epochs[0] - gaps[0]], inner, [epochs[-1] + gaps[-1]]])
