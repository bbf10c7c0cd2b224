"""Pictures fit the text, and link to themselves, to be looked at closely."""

from docutils import nodes
from sphinx.transforms import SphinxTransform
from sphinx_gallery.directives import imgsgnode


class PlainImages(SphinxTransform):
    """Make images that Sphinx knows of those which the gallery's examples draw."""

    default_priority = 500

    def apply(self, **kwargs):
        """Replace each of them."""
        for drawn in list(self.document.findall(imgsgnode)):
            drawn.replace_self(plain(drawn))


def plain(drawn):
    """Return Sphinx's image for one of the gallery's; site.css says how wide it is."""
    options = {"uri": drawn["uri"], "alt": drawn["alt"], "width": "100%"}
    return nodes.image(classes=drawn["class"] or [], **options)


def fit(app, doctree):
    """Give a width to those that have none; Sphinx links whatever has one.

    The pictures of the gallery's cards are links already.
    """
    for image in doctree.findall(nodes.image):
        if image["uri"].startswith("figures/"):
            image.setdefault("width", "100%")


def setup(app):
    """Look at every page so."""
    app.add_transform(PlainImages)
    app.connect("doctree-read", fit)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
