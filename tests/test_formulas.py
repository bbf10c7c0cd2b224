"""The formulas of the pages, in MathML."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("docutils", reason="needs the packages of the pages")
from docutils import nodes

EXTENSIONS = Path(__file__).parents[1] / "docs" / "_extensions"


@pytest.fixture
def mathml(monkeypatch):
    monkeypatch.syspath_prepend(EXTENSIONS)
    monkeypatch.delitem(sys.modules, "mathml", raising=False)
    import mathml

    return mathml


def tags(mathml, latex):
    html = mathml.to_html(mathml.to_mathml(nodes.math("", latex)))
    names = ("munder", "munderover", "msub", "mover")
    return [name for name in names if f"<{name}>" in html or f"<{name} " in html]


@pytest.mark.parametrize("accent", ["hat", "bar", "tilde", "dot"])
def test_an_index_stands_beside_a_letter_with_an_accent(mathml, accent):
    assert tags(mathml, rf"\{accent} S_{{ij}}") == ["msub", "mover"]


def test_the_limits_of_a_sum_stay_below_and_above_it(mathml):
    assert tags(mathml, r"\sum_{n=1}^N") == ["munderover"]


def test_a_line_may_end_after_a_relation_inside_of_a_formula(mathml):
    formula = mathml.to_mathml(nodes.math("", r"a = b + c \le d"))
    parts = mathml.cut_after_relations(formula)
    texts = ["".join("".join(part.itertext()).split()) for part in parts]
    assert texts == ["a=", "b+c≤", "d"]


def test_no_line_ends_inside_of_brackets_and_fractions(mathml):
    formula = mathml.to_mathml(nodes.math("", r"\frac{a = b}{c} \left( d = e \right)"))
    assert len(mathml.cut_after_relations(formula)) == 1
