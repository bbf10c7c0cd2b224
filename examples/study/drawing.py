"""The drawing of cycles for the page that explains the method; of no data."""

import matplotlib.pyplot as plt
import numpy as np

BLUE, RED, GREY = "#0072B2", "#D55E00", "0.45"
CYCLES = [(0, 7, 11, 0.30), (11, 16, 20, 0.52), (20, 25, 29, 0.56)]  # from, best, to
HEIGHT = 0.85  # of the best network


def draw():
    """Draw three cycles, and below how weights are chosen between two of them."""
    fig = plt.figure(figsize=(5, 4.9), layout="constrained")
    above, below = fig.subfigures(2, 1, height_ratios=(1.5, 1))
    _draw_cycles(above.subplots())
    _draw_redrawing(below)
    return fig


def _score(epochs, start, best, low):
    """Rise to the best epoch, and fall slowly from there: wrong labels are learnt."""
    rise = HEIGHT - (HEIGHT - low) * np.exp(-0.75 * (epochs - start))
    return rise - 0.012 * np.clip(epochs - best, 0, None) ** 1.5


def _draw_cycles(ax):
    """Draw the validation score, the networks kept and the ends of the cycles."""
    for number, (start, best, end, low) in enumerate(CYCLES, start=1):
        epochs = np.linspace(start, end, 200)
        ax.plot(epochs, _score(epochs, start, best, low), color=BLUE, lw=2)
        height = _score(np.float64(best), start, best, low)
        ax.plot(best, height, "o", color=RED, ms=8, zorder=3)
        ax.text(best, height + 0.03, f"network {number}", ha="center", color=RED)
        ax.axvline(end, color=GREY, ls=":", zorder=0)
        ax.text((start + end) / 2, 0.22, f"cycle {number}", ha="center")
    arrow = {"arrowstyle": "->", "color": GREY}
    ax.annotate("no better\nfor a while", (10.3, 0.79), (4.6, 0.6), arrowprops=arrow)
    ax.annotate("weights redrawn", (11.1, 0.51), (12, 0.36), arrowprops=arrow)
    box = {"facecolor": "white", "edgecolor": "none"}
    says = {"s": "the mean of the networks predicts", "color": RED, "bbox": box}
    ax.text(14.5, 1, ha="center", **says)
    ax.set(xlabel="epochs", ylabel="validation score")
    ax.set(xlim=(0, 29.3), ylim=(0.17, 1.08), xticks=[], yticks=[])
    ax.spines[["top", "right"]].set_visible(False)


def _draw_redrawing(fig):
    """Draw a layer's weights, their scores, and the weights after the redrawing."""
    rng = np.random.default_rng(0)
    weights, new = rng.uniform(-1, 1, (2, 5, 6))
    scores = rng.gamma(2, size=(5, 1)) * rng.gamma(2, size=(1, 6))
    chosen = scores >= np.quantile(scores, 0.3)
    panels = {
        "weights": (weights, "PuOr"),
        "scores": (scores**0.5, "cividis"),
        "70 % redrawn": (np.where(chosen, new, weights), "PuOr"),
    }
    axes = fig.subplots(1, 3)
    for ax, (title, (values, colours)) in zip(axes, panels.items(), strict=True):
        ax.pcolormesh(values, cmap=colours, edgecolors="white", lw=1)
        ax.set(title=title, xticks=[], yticks=[], aspect="equal")
        ax.title.set_fontsize("medium")
        ax.spines[:].set_visible(False)
    rows, columns = np.nonzero(chosen)
    axes[2].plot(columns + 0.5, rows + 0.5, "o", color="black", mec="white", ms=5)
