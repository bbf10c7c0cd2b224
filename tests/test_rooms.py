"""The rooms of the package: imports run one way, and no room reaches into another."""

import ast
from pathlib import Path

import pytest

import sklearn_hessreg

PACKAGE = Path(sklearn_hessreg.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
# from the lowest to the highest; a room imports from itself and from those below
ORDER = [
    *("_hessian", "_reinit", "_state", "_training", "_prediction", "_fitted"),
    *("_base", "_classifier", "_regressor", "_display", "__init__"),
]
# these import each other only, and everybody may import them
LEAVES = {
    *("_check_labels", "_check_targets", "_compat", "_heads", "_label_quality"),
    *("_losses", "_threads", "_torch_context", "_typing", "_validation"),
}


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path):
    """List what a file imports from this package, as (module, name)."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            package, _, module = node.module.partition(".")
            if package == "sklearn_hessreg":
                yield from ((module, alias.name) for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    own = room_of(path)
    for module, name in imports(path):
        other = module.partition(".")[0] or name
        if own in LEAVES:
            assert other in LEAVES
        elif other not in LEAVES:
            assert ORDER.index(other) <= ORDER.index(own)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_room_takes_only_what_another_one_exports(path):
    for module, name in imports(path):
        room, _, inside = module.partition(".")
        if room != room_of(path):
            assert not inside, f"{module} is inside of {room}"
            private = name.startswith("_") and name != "__version__"
            assert not private, f"{name} is private in {room}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_the_first_line_says_what_a_file_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text()))
