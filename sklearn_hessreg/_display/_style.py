"""Axes, line styles, settings and names of layers that the displays share."""

import re

_LAYER = re.compile(r"layers\.(\d+)")  # of an MLP's records

# told apart by colour, by dashes and by marker, so also in grey and when printed;
# the colours are those of Okabe and Ito for the colour-blind
_LINES = (
    {"color": "#0072B2", "linestyle": "-", "marker": "o"},
    {"color": "#D55E00", "linestyle": "--", "marker": "s"},
    {"color": "#009E73", "linestyle": "-.", "marker": "^"},
    {"color": "#000000", "linestyle": ":", "marker": "D"},
)
_MARKERS = 10  # on a line; more would hide it


def new_axes(ax):
    """Return the axes, or new ones in a figure of their own."""
    import matplotlib.pyplot as plt

    return plt.subplots(layout="constrained")[1] if ax is None else ax


def plot_line(ax, x, y, label, line_kw):
    """Plot a line in the style that follows those of the lines already there."""
    drawn = sum(line.get_linestyle() != "None" for line in ax.get_lines())
    style = _LINES[drawn % len(_LINES)]
    step = max(1, -(-len(x) // _MARKERS))
    # markers of several lines do not hide each other
    every = (drawn * step // len(_LINES) % step, step)
    kw = {"label": label, "markersize": 3.5, "markevery": every, **style}
    return ax.plot(x, y, **{**kw, **(line_kw or {})})[0]


def add_legend(ax):
    """Add a legend that leaves room for the curves in a small figure."""
    ax.legend(fontsize="small", labelspacing=0.2)


def layer_label(name, last):
    """Name a layer for a reader; `last` is the name of the network's last one."""
    number = _LAYER.fullmatch(name)
    if number is None:  # of a net of one's own, whose names are its author's
        return name
    return "output layer" if name == last else f"hidden layer {int(number[1]) + 1}"


def count_in_integers(axis):
    """Let an axis of epochs, units or inputs have no ticks between integers."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
