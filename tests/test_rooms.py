"""The rooms of the package: imports run one way, and no room reaches into another."""

import ast
import sys
from pathlib import Path

import pytest
from sklearn.datasets import load_iris

import sklearn_hessreg
from sklearn_hessreg import HessianRegularizedMLPClassifier

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
    *("_losses", "_torch_context", "_typing", "_validation"),
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


def files_entered(function):
    """List the files of the package whose code a call runs, in their order."""
    names = {}

    def profile(frame, event, arg):
        if event == "call":
            names[frame.f_code.co_filename] = None

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(before)
    return [name for name in names if name.startswith(f"{PACKAGE}")]


def test_a_default_fit_and_its_predictions_run_through_few_files():
    X, y = load_iris(return_X_y=True)
    clf = HessianRegularizedMLPClassifier(learning_rate_init=0.01, random_state=0)
    assert len(files_entered(lambda: clf.fit(X, y))) <= 38
    assert clf.reinit_history_
    assert len(files_entered(lambda: clf.predict(X))) <= 8
