"""Fits in forked processes that are killed, and go on, as told by a test."""

import os
import pickle
import signal
import traceback
import warnings

from sklearn_hessreg._state import _file

POINTS = ["in a batch", "half written", "before the move", "after the move", "begun"]


def run_and_kill(fit, cases, kills, folder):
    """Let each case end, and again after a kill at a point; return what came of it.

    `fit` is a function of a test's module. It gets a case, the path of its checkpoint
    (None in the first, which only imports), a file for its end, a seed, which is
    another one after the kill, and the point.
    """
    warnings.simplefilter("ignore")
    fit(cases[0], None, folder / "unused", 0, None)  # what is imported late, once
    for case in cases:
        path = folder / f"whole {case}"
        assert in_child(fit, case, path, folder / case, 0, None) == 0
    results = {}
    for case, point in kills:
        name = f"{case}, {point}"
        place = folder / f"{name} files"
        place.mkdir()
        path = place / "state"
        killed = in_child(fit, case, path, folder / name, 0, point)
        on = in_child(fit, case, path, folder / name, 1, None)
        results[name] = killed, on, os.listdir(place)
    return results


def whole_and_resumed(ends, case, point):
    """Read how a case ended without and with a kill, of which signal 9 tells."""
    folder, results = ends
    killed, on, _ = results[f"{case}, {point}"]
    assert (killed, on) == (9, 0)
    names = case, f"{case}, {point}"
    return [pickle.loads((folder / name).read_bytes()) for name in names]


def die(*args):
    """End this process as a power cut does."""
    os.kill(os.getpid(), signal.SIGKILL)


def at_call(number, original, before=None, after=None):
    """Let a function do something else too when it is called for the n-th time."""
    calls = []

    def call(*args, **kwargs):
        calls.append(1)
        if len(calls) == number and before:
            before(*args)
        result = original(*args, **kwargs)
        if len(calls) == number and after:
            after()
        return result

    return call


def half(state, file):
    """Write half of a state."""
    written = pickle.dumps(state)
    file.write(written[: len(written) // 2])
    file.flush()
    die()


def arm(point, kind, batch):
    """Prepare this process for its end; `kind` is the class of net that trains."""
    if point == "in a batch":
        kind.train_step_single = at_call(batch, kind.train_step_single, die)
    elif point == "half written":
        _file.dump = at_call(5, _file.dump, half)
    elif point == "before the move":
        os.replace = at_call(4, os.replace, die)
    elif point == "after the move":
        os.replace = at_call(4, os.replace, after=die)
    elif point == "begun":
        os.link = at_call(1, os.link, after=die)


def in_child(function, *args):
    """Call a function in a forked process and return how that ended."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            function(*args)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1]
