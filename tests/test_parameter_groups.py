"""Parameters stand in groups: in docstring, signature and HTML representation."""

import inspect
import re
from pathlib import Path

import pytest

from sklearn_hessreg import (
    HessianRegularizedMLPClassifier,
    HessianRegularizedMLPRegressor,
)

EXTENSIONS = Path(__file__).parents[1] / "docs" / "_extensions"
both = pytest.mark.parametrize(
    "estimator", [HessianRegularizedMLPClassifier, HessianRegularizedMLPRegressor]
)


@pytest.fixture
def parameter_groups(monkeypatch):
    monkeypatch.syspath_prepend(EXTENSIONS)
    return __import__("parameter_groups")


@both
def test_groups_of_the_docstring_cover_the_signature_in_its_order(
    estimator, parameter_groups
):
    names = list(inspect.signature(estimator).parameters)
    covered = []
    for _, first, last in parameter_groups.groups(estimator.__doc__):
        covered += names[names.index(first) : names.index(last) + 1]
    assert covered == names


@both
def test_groups_have_the_same_headings(estimator, parameter_groups):
    headings = [heading for heading, _, _ in parameter_groups.groups(estimator.__doc__)]
    assert headings == [
        "Start here",
        "Schedule",
        "Research",
        "As scikit-learn",
        "Training extras",
    ]


@both
def test_html_representation_lists_parameters_in_the_order_of_the_groups(estimator):
    listed = re.findall(r"copyToClipboard\('(\w+)',", estimator()._repr_html_())
    assert listed == list(inspect.signature(estimator).parameters)


def test_a_heading_is_written_above_the_first_parameter(parameter_groups):
    lines = ["*Network*: ``units`` to ``units``.", "", "  **units** : int"]
    parameter_groups.write_headings(None, "class", "", None, None, lines)
    assert lines[2:] == ["  .. rubric:: Network", "", "  **units** : int"]
