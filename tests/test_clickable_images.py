"""Figures and what examples draw become links to themselves, other pictures stay."""

from pathlib import Path

import pytest

nodes = pytest.importorskip("docutils.nodes", reason="of the documentation alone")
gallery = pytest.importorskip("sphinx_gallery.directives", reason="as docutils")
EXTENSIONS = Path(__file__).parents[1] / "docs" / "_extensions"


@pytest.fixture
def extension(monkeypatch):
    monkeypatch.syspath_prepend(EXTENSIONS)
    return __import__("clickable_images")


@pytest.mark.parametrize(
    ("image", "width"),
    [
        ({"uri": "figures/cycles.png"}, "100%"),
        ({"uri": "figures/cycle.png", "width": "620px"}, "620px"),
        ({"uri": "auto_examples/images/thumb/a_thumb.png"}, None),
    ],
    ids=["figure", "figure with a width", "card of the gallery"],
)
def test_figures_without_a_width_are_given_one(image, width, extension):
    node = nodes.image(**image)
    extension.fit(None, nodes.paragraph("", "", node))
    assert node.get("width") == width


def test_what_an_example_draws_becomes_an_image_with_a_width(extension):
    drawn = {"uri": "/auto_examples/images/a.png", "alt": "curves", "class": ["wide"]}
    image = extension.plain(gallery.imgsgnode("", **drawn))
    assert {name: image[name] for name in ("uri", "alt", "classes", "width")} == {
        **{name: drawn[name] for name in ("uri", "alt")},
        "classes": ["wide"],
        "width": "100%",
    }
