"""Checkpoints: the state of a training in a file, from which a fit goes on to the bit.

A file is a line of JSON, which says of what fit it is, and the pickled state. It is
written beside its place and moved there, so that at every moment there is a whole one.
"""

import json
import os
import pickle
from pathlib import Path
from tempfile import mkstemp

import joblib
from skorch.callbacks import Callback

from sklearn_hessreg._training._fingerprint import differences
from sklearn_hessreg._training._state import capture, to_arrays


class Checkpoint(Callback):
    """Write a training's state at its beginning and after every so many epochs.

    With L-BFGS one is written after every cycle: within a cycle it cannot go on to the
    bit.

    `fit` is what `describe_fit` returns. In a folder every fit has a file of its own,
    named by its parameters and data.
    """

    def __init__(self, path, every, fit):
        self.every = every
        self.fit = fit
        self.given = path
        self.path = Path(path)
        if self.path.is_dir():
            if fit["parameters"]["random_state"] == "None":
                raise ValueError(
                    f"checkpoint={path!r} is a folder, where fits are told apart by "
                    "their parameters and data; with random_state=None fits that are "
                    "to differ have the same. Set random_state, or name a file."
                )
            name = joblib.hash([fit["parameters"], fit["data"]])
            self.path = self.path / f"{name}.checkpoint"
        elif not self.path.parent.is_dir():
            raise ValueError(
                f"checkpoint={path!r}: there is no folder {str(self.path.parent)!r}. "
                "Make it, or name another file."
            )
        self.is_there = False

    def load(self):
        """Return the state in the file, None if there is no file; refuse another's."""
        for leftover in self._leftovers():  # of a process that was killed
            leftover.unlink(missing_ok=True)
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return None
        with file:
            self._check(file.readline())
            self.is_there = True
            try:
                return pickle.load(file)
            except (EOFError, pickle.UnpicklingError) as error:
                raise ValueError(
                    f"The checkpoint {str(self.path)!r} is damaged: {error}. Delete it "
                    "to begin anew."
                ) from error

    def remove(self):
        """Delete the file."""
        self.path.unlink(missing_ok=True)

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Write the file, before anything is trained in vain if that is impossible."""
        if not self.is_there:
            self._write(net)

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Write the file if it is time."""
        last = net.stop_training_ or net.n_epochs_begun_ == net.spec.max_iter
        if last or self._is_time(net):
            self._write(net)

    def _is_time(self, net):
        """Tell whether a state is due; L-BFGS has a memory within a run of its own."""
        if net.spec.solver == "lbfgs":
            return dict(net.callbacks_)["hessian_reinit"].is_due
        return net.n_epochs_begun_ % self.every == 0

    def _write(self, net):
        """Write the state beside the file, and move it there when it is on the disk."""
        state = {**to_arrays(capture(net)), "seed": net.spec.seed}
        name = f".{self.path.name}."
        number, written = mkstemp(dir=self.path.parent, prefix=name)
        try:
            with open(number, "wb") as file:
                file.write(json.dumps(self.fit).encode() + b"\n")
                _dump(state, file)
                file.flush()
                os.fsync(file.fileno())
            self._move(written)
        except BaseException:
            Path(written).unlink(missing_ok=True)
            raise
        self.is_there = True

    def _move(self, written):
        """Replace the file, or put the first one where no other fit has put one."""
        if not self.is_there:
            try:
                os.link(written, self.path)
            except FileExistsError:
                with self.path.open("rb") as file:
                    self._check(file.readline())
            except OSError:  # a file system without hard links
                pass
            else:
                os.unlink(written)
                return
        os.replace(written, self.path)

    def _leftovers(self):
        """List files that were begun and not moved."""
        start = f".{self.path.name}."
        return [p for p in self.path.parent.iterdir() if p.name.startswith(start)]

    def _check(self, line):
        """Refuse a file of another fit by the first line, before it is unpickled."""
        try:
            there = json.loads(line)
            found = list(differences(there, self.fit))
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ValueError(
                f"checkpoint={self.given!r}: the file {str(self.path)!r} is there and "
                "is no checkpoint. Name another one, or delete it."
            ) from None
        if found:
            raise ValueError(
                f"checkpoint={self.given!r}: the file {str(self.path)!r} is of another "
                f"fit: {'; '.join(found)}. Set that back to go on with it, or "
                "delete the file to begin anew. A folder as checkpoint has a file for "
                "each fit."
            )


def _dump(state, file):
    """Pickle a state; what cannot be pickled is of the user's callbacks."""
    try:
        pickle.dump(state, file, protocol=5)
    except (AttributeError, TypeError, pickle.PicklingError) as error:
        raise ValueError(
            f"A callback in skorch_callbacks cannot be pickled ({error}), so no "
            "checkpoint can hold what it has learnt. Let it define __getstate__, or "
            "use checkpoint=None."
        ) from error
