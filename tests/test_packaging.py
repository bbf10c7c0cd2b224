"""What is said twice about the package is said alike."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import sklearn_hessreg

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "sklearn_hessreg"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TESTED = [*PROJECT["dependencies"]]
TESTED += PROJECT["optional-dependencies"]["distributed"]
TESTED += PROJECT["optional-dependencies"]["plots"]
TESTED += PROJECT["optional-dependencies"]["test"]


def test_the_version_is_the_same_wherever_it_is_said():
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.M)
    assert cited[1] == PROJECT["version"] == sklearn_hessreg.__version__


def test_the_workflow_runs_on_every_python_that_is_claimed():
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    (matrix,) = re.findall(r"python: \[(.*)\]", workflow)
    prefix = "Programming Language :: Python :: 3."
    claimed = [c for c in PROJECT["classifiers"] if c.startswith(prefix)]
    assert re.findall(r'"(.*?)"', matrix) == [c.split(" :: ")[-1] for c in claimed]
    assert f">={claimed[0].split(' :: ')[-1]}" == PROJECT["requires-python"]


def test_the_conda_recipe_has_the_version_and_the_requirements_of_the_project():
    recipe = (ROOT / ".conda" / "recipe.yaml").read_text()
    needs = [Requirement(r) for r in PROJECT["dependencies"]]
    names = [{"torch": "pytorch"}.get(r.name, r.name) for r in needs]
    run = recipe.partition("  run:\n")[2].partition("\n\n")[0]
    python, *others = re.findall(r"- (\S+) (\S+)", run)
    assert others == [(n, str(r.specifier)) for n, r in zip(names, needs, strict=True)]
    assert python[0] == "python"
    assert f'python_min: "{PROJECT["requires-python"][2:]}"' in recipe
    assert f'version: "{PROJECT["version"]}"' in recipe


@pytest.mark.parametrize("requirement", [Requirement(r) for r in TESTED], ids=str)
def test_every_lower_bound_is_among_the_oldest_versions_tested(requirement):
    if requirement.name == PROJECT["name"]:
        return
    (bound,) = requirement.specifier
    pins = (ROOT / ".constraints-oldest.txt").read_text()
    (pin,) = re.findall(rf"^{requirement.name}==(\S+)$", pins, re.M)
    bound = Version(bound.version).release
    assert Version(pin).release[: len(bound)] == bound


def test_the_wheel_holds_the_package_and_its_types_and_nothing_else(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = ZipFile(wheel).namelist()
    package = {f.relative_to(ROOT).as_posix() for f in PACKAGE.rglob("*.py")}
    assert {n for n in names if ".dist-info/" not in n} == {
        *package,
        "sklearn_hessreg/py.typed",
    }
