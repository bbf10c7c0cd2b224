"""Headings above the groups of parameters, where a docstring says that there are any.

numpydoc's section has no headings, and signature and HTML representation only have an
order. So the docstring says where each group begins, and this draws the headings.
"""

import re

_GROUP = re.compile(r"\*([^*]+)\*:\s+``(\w+)``\s+to\s+``(\w+)``")


def groups(docstring):
    """List (heading, first parameter, last parameter)."""
    return _GROUP.findall(docstring)


def write_headings(app, what, name, obj, options, lines):
    """Write a heading above the first parameter of each group."""
    for heading, first, _ in groups("\n".join(lines)):
        row, entry = next(
            (i, line)
            for i, line in enumerate(lines)
            if line.lstrip().startswith(f"**{first}** :")
        )
        margin = " " * (len(entry) - len(entry.lstrip()))
        lines[row:row] = [f"{margin}.. rubric:: {heading}", ""]


def setup(app):
    """Do it when numpydoc, at priority 500, has written the section."""
    app.connect("autodoc-process-docstring", write_headings, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
