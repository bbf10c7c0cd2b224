"""StateFile: a checkpoint file that is replaced atomically.

The file is a line of JSON that describes the fit, followed by the pickled state. It is
written to a temporary file in the same folder and then moved into place.
"""

import json
import os
import pickle
from pathlib import Path
from tempfile import mkstemp

import joblib
import numpy as np
import torch

from sklearn_hessreg._state._description import differences

LONGEST_LINE = 2**24  # bytes of the description; few fits need a thousandth


class StateFile:
    """The checkpoint file of one fit.

    `fit` describes the fit by its parameters, data and versions. In a folder every fit
    has its own file, named by its parameters and data. `parameter` is the user's name
    for the path.
    """

    def __init__(self, path, fit, parameter):
        self.fit = fit
        self.given = f"{parameter}={path!r}"
        if not str(path):
            raise ValueError(f"{self.given} names no file. Name one, or a folder.")
        self.path = Path(path).absolute()  # training may change the working folder
        if self.path.is_dir():
            name = joblib.hash([fit["parameters"], fit["data"]])
            self.path = self.path / f"{name}.checkpoint"
        elif not self.path.parent.is_dir():
            raise ValueError(
                f"{self.given}: there is no folder {str(self.path.parent)!r}. "
                "Make it, or name another file."
            )
        self.is_there = False

    def load(self):
        """Return the stored state, None without a file; refuse another fit's file.

        The file of another fit that had not trained anything yet counts as none.
        """
        for leftover in self._leftovers():  # of a process that was killed
            leftover.unlink(missing_ok=True)
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return None
        with file:
            if not self._is_own(file.readline(LONGEST_LINE)):
                return None
            self.is_there = True
            try:
                return pickle.load(file)
            except (EOFError, pickle.UnpicklingError) as error:
                raise ValueError(
                    f"The checkpoint {str(self.path)!r} is damaged: {error}. Delete it "
                    "to begin anew."
                ) from error

    def write(self, state, epochs):
        """Write the state to a temporary file, and move it into place once on disk."""
        fit = {**self.fit, "epochs": epochs}
        try:
            try:
                self._write(state, fit)
            except FileNotFoundError:  # removed by a process that began this fit
                self._write(state, fit)
        except OSError as error:
            raise OSError(
                error.errno,
                f"{self.given}: the checkpoint {str(self.path)!r} cannot be written: "
                f"{error.strerror or error}. What was there before is kept. Free "
                "space or give permission and fit again, or name another place.",
            ) from error
        self.is_there = True

    def remove(self):
        """Delete the file."""
        self.path.unlink(missing_ok=True)

    def _write(self, state, fit):
        """Write a whole file and move it into place, or leave none behind."""
        number, written = mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        try:
            with open(number, "wb") as file:
                file.write(json.dumps(fit).encode() + b"\n")
                dump(state, file)
                file.flush()
                os.fsync(file.fileno())
            self._move(written)
        except BaseException:
            Path(written).unlink(missing_ok=True)
            raise

    def _move(self, written):
        """Replace this fit's file, or create it where no other fit has one."""
        if self.is_there:
            self._check_that_it_is_own()
        else:
            try:
                os.link(written, self.path)
            except FileExistsError:
                self._check_that_it_is_own()
            except OSError:  # a file system without hard links
                pass
            else:
                os.unlink(written)
                return
        os.replace(written, self.path)

    def _check_that_it_is_own(self):
        """Refuse to overwrite a file that another fit has put there meanwhile."""
        try:
            file = self.path.open("rb")
        except FileNotFoundError:  # deleted meanwhile
            return
        with file:
            self._is_own(file.readline(LONGEST_LINE))

    def _leftovers(self):
        """List the temporary files that were begun but never moved."""
        start = f".{self.path.name}."
        return [p for p in self.path.parent.iterdir() if p.name.startswith(start)]

    def _is_own(self, line):
        """Return whether a file's first line, read before unpickling, is of this fit.

        Another fit's file is refused if replacing it would lose anything.
        """
        try:
            there = json.loads(line)
            found, epochs = list(differences(there, self.fit)), there["epochs"]
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ValueError(
                f"{self.given}: the file {str(self.path)!r} is there and is no "
                "checkpoint. Name another one, or delete it."
            ) from None
        if found and epochs > 0:
            raise ValueError(
                f"{self.given}: the file {str(self.path)!r} is of another fit: "
                f"{'; '.join(found)}. Set that back to go on with it, or delete the "
                "file to begin anew. With the name of a folder each fit has a file of "
                "its own there."
            )
        return not found


class _Pickler(pickle.Pickler):
    """Write tensors as arrays, many times faster than torch, and views on their own."""

    def reducer_override(self, value):
        """Reduce a tensor that numpy can hold; leave everything else to pickle."""
        if type(value) is not torch.Tensor:
            return NotImplemented
        try:
            array = value.detach().cpu().numpy()
        except (TypeError, RuntimeError):  # sparse, conjugate, bfloat16
            return NotImplemented
        return _to_tensor, (array, str(value.device), value.requires_grad)


def _to_tensor(array, device, requires_grad):
    """Convert an array back to a tensor with its own memory."""
    tensor = torch.from_numpy(np.array(array)).to(device)
    return tensor.requires_grad_(requires_grad)


def dump(state, file):
    """Pickle a state into an open file."""
    _Pickler(file, protocol=5).dump(state)
