"""Formulas as MathML, which browsers draw themselves: no script, no font from afar."""

from xml.etree import ElementTree

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

# bars in the line are absolute values and norms: as high as letters, without space
_FLAT = '<mo stretchy="false" lspace="0" rspace="0">'
_BARS = {
    '<mo stretchy="false">|': f"{_FLAT}|",
    '<mo class="mathopen">‖': f"{_FLAT}‖",
    "<mo>‖": f"{_FLAT}‖",
}
_SPACE = "{http://www.w3.org/1998/Math/MathML}"
_RELATIONS = {"=", "≤", "≥", "<", ">", "≈", "∈"}


def to_mathml(node, **options):
    """Translate a formula to an element."""
    formula = tex2mathml(node.astext(), **options)
    for bar, flat in _BARS.items():
        formula = formula.replace(bar, flat)
    formula = ElementTree.fromstring(formula)
    for element in formula.iter(f"{_SPACE}munderover"):
        _set_index_beside(element)
    return formula


def _set_index_beside(element):
    """Set an index beside a letter with an accent; docutils sets it below the letter.

    Below and above is right for the limits of an operator, such as a sum.
    """
    letter, index, accent = element
    if letter.tag == f"{_SPACE}mo":
        return
    accented = ElementTree.Element(f"{_SPACE}mover", accent="true")
    accented.extend([letter, accent])
    element.tag = f"{_SPACE}msub"
    element[:] = [accented, index]


def cut_after_relations(formula):
    """Cut a formula where a line may end; browsers break no line inside of one."""
    parts = [ElementTree.Element(formula.tag, formula.attrib)]
    for element in formula:
        parts[-1].append(element)
        if element.tag == f"{_SPACE}mo" and element.text in _RELATIONS:
            element.set("form", "infix")  # at the end of a part too, with its spaces
            parts.append(ElementTree.Element(formula.tag, formula.attrib))
    return [part for part in parts if len(part)]


def to_html(formula):
    """Write an element as HTML, which knows MathML without its namespace."""
    for element in formula.iter():
        element.tag = element.tag.removeprefix(_SPACE)
    return ElementTree.tostring(formula, encoding="unicode", short_empty_elements=False)


def visit_math(self, node):
    """Write a formula in the line."""
    parts = cut_after_relations(to_mathml(node))
    self.body.append("<wbr>".join(to_html(part) for part in parts))
    raise nodes.SkipNode


def visit_displayed_math(self, node):
    """Write a formula of its own."""
    formula = to_html(to_mathml(node, as_block=True))
    self.body.append(f'<div class="displayed-math">{formula}</div>\n')
    raise nodes.SkipNode


def setup(app):
    """Offer the renderer to Sphinx as html_math_renderer="mathml"."""
    app.add_html_math_renderer(
        "mathml", (visit_math, None), (visit_displayed_math, None)
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}
