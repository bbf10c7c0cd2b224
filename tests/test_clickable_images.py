"""Figures of the pages become links to themselves, other pictures stay as they are."""

from pathlib import Path

import pytest

nodes = pytest.importorskip("docutils.nodes", reason="of the documentation alone")
EXTENSIONS = Path(__file__).parents[1] / "docs" / "_extensions"


@pytest.mark.parametrize(
    ("image", "width"),
    [
        ({"uri": "figures/cycles.png"}, "100%"),
        ({"uri": "figures/cycle.png", "width": "620px"}, "620px"),
        ({"uri": "auto_examples/images/thumb/a_thumb.png"}, None),
    ],
    ids=["figure", "figure with a width", "card of the gallery"],
)
def test_figures_without_a_width_are_given_one(image, width, monkeypatch):
    monkeypatch.syspath_prepend(EXTENSIONS)
    node = nodes.image(**image)
    __import__("clickable_images").fit(None, nodes.paragraph("", "", node))
    assert node.get("width") == width
