"""Figures are as wide as the text, and link to themselves, to be looked at closely."""

from docutils import nodes


def fit(app, doctree):
    """Give a width to those that have none; Sphinx links whatever has one.

    The pictures of the gallery's cards are links already.
    """
    for image in doctree.findall(nodes.image):
        if image["uri"].startswith("figures/"):
            image.setdefault("width", "100%")


def setup(app):
    """Look at every page so."""
    app.connect("doctree-read", fit)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
