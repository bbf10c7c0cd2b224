"""Formulas as MathML, which browsers draw themselves: no script, no font from afar."""

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

# bars in the line are absolute values and norms: as high as letters, without space
_FLAT = '<mo stretchy="false" lspace="0" rspace="0">'
_BARS = {
    '<mo stretchy="false">|': f"{_FLAT}|",
    '<mo class="mathopen">‖': f"{_FLAT}‖",
    "<mo>‖": f"{_FLAT}‖",
}


def to_mathml(node, **options):
    """Translate a formula."""
    formula = tex2mathml(node.astext(), **options)
    for bar, flat in _BARS.items():
        formula = formula.replace(bar, flat)
    return formula


def visit_math(self, node):
    """Write a formula in the line."""
    self.body.append(to_mathml(node))
    raise nodes.SkipNode


def visit_displayed_math(self, node):
    """Write a formula of its own."""
    formula = to_mathml(node, as_block=True)
    self.body.append(f'<div class="displayed-math">{formula}</div>\n')
    raise nodes.SkipNode


def setup(app):
    """Offer the renderer to Sphinx as html_math_renderer="mathml"."""
    app.add_html_math_renderer(
        "mathml", (visit_math, None), (visit_displayed_math, None)
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}
