"""Axes, line styles, settings and layer names that the displays share."""

import re

_LAYER = re.compile(r"layers\.(\d+)")  # in an MLP's records

# distinct in colour, dashes and marker, so also in grey and in print; the colours are
# those of Okabe and Ito for the colour-blind
_LINES = (
    {"color": "#0072B2", "linestyle": "-", "marker": "o"},
    {"color": "#D55E00", "linestyle": "--", "marker": "s"},
    {"color": "#009E73", "linestyle": "-.", "marker": "^"},
    {"color": "#000000", "linestyle": ":", "marker": "D"},
)
_MARKERS = 10  # per line; more would hide it


def new_axes(ax):
    """Return the axes, or new ones in a figure of their own."""
    import matplotlib.pyplot as plt

    return plt.subplots(layout="constrained")[1] if ax is None else ax


def plot_line(ax, x, y, label, line_kw):
    """Plot a line in the next style after those of the lines already there."""
    drawn = sum(line.get_linestyle() != "None" for line in ax.get_lines())
    style = _LINES[drawn % len(_LINES)]
    step = max(1, -(-len(x) // _MARKERS))
    # staggered, so that markers of several lines do not hide each other
    every = (drawn * step // len(_LINES) % step, step)
    kw = {"label": label, "markersize": 3.5, "markevery": every, **style}
    return ax.plot(x, y, **{**kw, **(line_kw or {})})[0]


def add_legend(ax):
    """Add a legend that leaves room for the curves in a small figure."""
    ax.legend(fontsize="small", labelspacing=0.2)


def layer_label(name, last):
    """Return a readable layer name; `last` is the name of the network's last layer."""
    number = _LAYER.fullmatch(name)
    if number is None:  # from your own net, which keeps its names
        return name
    return "output layer" if name == last else f"hidden layer {int(number[1]) + 1}"


def count_in_integers(axis):
    """Put ticks only at integers on an axis of epochs, units or inputs."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
