"""FitCheckpoint: the callback that makes any skorch net's fit resumable."""

import pickle
from numbers import Integral
from os import PathLike

from sklearn.utils._param_validation import Interval, validate_parameter_constraints
from skorch.callbacks import Callback, EarlyStopping, PrintLog

from sklearn_hessreg._hessian import ranks_of, without_ddp
from sklearn_hessreg._state._callback_state import pickled, pickles_of
from sklearn_hessreg._state._description import describe_net
from sklearn_hessreg._state._file import StateFile
from sklearn_hessreg._state._generators import (
    capture_generators,
    restore_generators,
)
from sklearn_hessreg._state._net_state import (
    PickledRows,
    capture_net,
    modules_of,
    restore_net,
)

_CONSTRAINTS = {
    "path": [str, PathLike],
    "every": [Interval(Integral, 1, None, closed="left")],
    "keep": ["boolean"],
}


class FitCheckpoint(Callback):
    """Keep a skorch net's training in a file, from which a killed fit resumes.

    The file holds weights, buffers, optimizers, history, what the callbacks have learnt
    and the random generators. If a ``fit`` is killed, at any moment, call it again in a
    new process with the same parameters and data. It resumes from the file and ends
    bit for bit like a fit that was never interrupted, on the same machine with the same
    number of threads. The estimators have ``checkpoint`` for this.

    Parameters
    ----------
    path : str or path-like
        The file. In a search, name an existing folder: each fit then has its own file
        there, named by its parameters and data.
    every : int, default=1
        Write the file after each ``every`` epochs, and after the last epoch.
    keep : bool, default=False
        Whether to keep the file when training has ended. Calling the same fit again
        then trains nothing and returns the final net. Otherwise the file is deleted.

    Raises
    ------
    ValueError
        When training begins: if this is not the last one in ``callbacks``; if the file
        is of another fit (the message says what differs); if the file
        is damaged or not a checkpoint; if what a callback has learnt cannot be pickled;
        if the net trains in several processes or with skorch's ``AccelerateMixin``.
    OSError
        If the file cannot be written, for example on a full disk. Its previous content
        is kept.

    Notes
    -----
    Training draws from the global generators of torch (CPU and CUDA), numpy and Python.
    A resumed fit therefore sets them twice: first to where they were when training
    began, for the rows set aside for validation, then to where they were after the last
    epoch stored. They end where the uninterrupted fit leaves them. You need no seed.
    Generators among the net's parameters are stored too, and so are those held as
    attributes by these parameters, by the net's modules or by its callbacks. Generators
    inside a data set of your own are not.

    The same fit has the same class of net, parameters (``verbose`` may differ,
    ``max_epochs`` may not), callbacks, shapes, ``X``, ``y``, criterion weights and
    package versions. Initial weights and ``fit_params`` are not compared. A function is
    identified by its name, a ready-made module by what it prints, and a torch data set
    that does not hold arrays by its class and length. For skorch's logging callbacks
    only the class counts. The same holds for an argument of another callback that
    cannot be pickled, such as a writer.

    What a callback has learnt is every attribute whose name ends in an underscore or is
    not an argument of its ``__init__``. ``on_train_begin`` is called once more before
    these are restored. For a net of your own class, every attribute that training has
    changed is stored. An object with a ``state_dict``, such as a ``GradScaler`` or an
    average of the weights, is stored as that dict. A net with ``get_extra_state`` and
    ``set_extra_state``, as torch's modules have them, is stored by these instead.
    Attributes of modules that are neither weights nor buffers are not stored.

    The file stays after an interruption or an error. skorch uses the same exception for
    Ctrl-C and for a callback that ends the training. That training has ended is known
    of its EarlyStopping, and of a callback whose attribute ``has_ended_training`` is
    true, as :class:`HessianReinit` has it. If any other callback ends the training, the
    file of the last epoch but one stays. Call ``fit`` again to reach the same end, or
    delete the file.

    ``partial_fit`` resumes in the same way, and so does ``fit`` with
    ``warm_start=True``. Each call is a training of its own, recognised by the weights
    it begins with. Give each call its own path.

    The file is a pickle: never load one from people you do not trust.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import torch
    >>> from sklearn.datasets import make_classification
    >>> from skorch import NeuralNetClassifier
    >>> from sklearn_hessreg import FitCheckpoint
    >>> X, y = make_classification(random_state=0)
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "night.checkpoint"
    ...     net = NeuralNetClassifier(
    ...         torch.nn.Linear,
    ...         module__in_features=20,
    ...         module__out_features=2,
    ...         criterion=torch.nn.CrossEntropyLoss,
    ...         max_epochs=3,
    ...         callbacks=[FitCheckpoint(path)],
    ...         verbose=0,
    ...     )
    ...     net = net.fit(X.astype("float32"), y)
    ...     path.exists()  # training has ended
    False
    >>> len(net.history)
    3
    """

    def __init__(
        self, path: str | PathLike[str], every: int = 1, keep: bool = False
    ) -> None:
        self.path = path
        self.every = every
        self.keep = keep

    def __repr__(self):
        return f"FitCheckpoint({self.path!r}, every={self.every}, keep={self.keep})"

    def check_params(self):
        """Raise a ValueError if a parameter has a value that is not allowed."""
        validate_parameter_constraints(
            _CONSTRAINTS, self.get_params(), type(self).__name__
        )

    def initialize(self):
        """Detach from any training."""
        self.file_ = self.begin_ = self.end_ = self.rows_ = self.own_ = None
        return self

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Resume from the file, or write it now so that a failure costs no training."""
        self.check_params()
        self._check_net(net)
        self.file_ = StateFile(self.path, describe_net(net, X, y, self), "path")
        self._begin(net)

    def _begin(self, net):
        """Resume from the file, or write it for the first time."""
        net.callbacks_ = _without_return(net.callbacks_)
        self.max_epochs_, self.epochs_ = net.max_epochs, 0
        self.begin_ = self._generators(net)
        self.end_, self.rows_, self.own_ = None, PickledRows(), pickles_of(net)
        state = self.file_.load()
        if state is None:
            self._write(net)
        else:
            self._go_on_from(net, state)

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Write the file if it is due."""
        if self.file_ is None:  # on_train_begin was not called
            return
        self.epochs_ += 1
        if self._is_due(net) or self.epochs_ >= self.max_epochs_:
            self._write(net)

    def _is_due(self, net):
        """Return whether to write the file after this epoch."""
        return self.epochs_ % self.every == 0

    def on_train_end(self, net, X=None, y=None, **kwargs):
        """Delete the file or store the end in it; keep it after an interruption."""
        if self.file_ is None:
            return
        if self.end_ is not None:  # undo what other callbacks have repeated
            restore_net(net, self.end_["net"], self)
            restore_generators(net, self.end_["generators"])
        if self._has_ended(net):
            if self.keep:
                self._write(net, has_ended=True)
            else:
                self.file_.remove()
        self.initialize()

    def _check_net(self, net):
        """Refuse callbacks after this one, and nets that several processes train."""
        seen = [pair for pair in net.callbacks_ if not isinstance(pair[1], PrintLog)]
        name, last = seen[-1]
        if last is not self:
            raise ValueError(
                f"FitCheckpoint(path={self.path!r}) stores what the other callbacks "
                "have made of an epoch, but the last of callbacks is "
                f"{name!r}, {type(last).__name__}. Move FitCheckpoint to the end of "
                "callbacks, and have one alone."
            )
        modules = modules_of(net).values()
        parallel = any(without_ddp(module) is not module for module in modules)
        if parallel or hasattr(net, "accelerator") or ranks_of().size > 1:
            raise ValueError(
                "FitCheckpoint stores the training of one process, but this net, "
                f"{type(net).__name__}, trains in several or by accelerate. Save by "
                "what accelerate has for it, or train in one process."
            )

    def _generators(self, net):
        """Return the states of the generators that training draws from."""
        return capture_generators(net)

    def _has_ended(self, net):
        """Return whether training ended; Ctrl-C gives the same KeyboardInterrupt."""
        stopped = (_has_stopped(callback) for _, callback in net.callbacks_)
        return self.end_ is not None or self.epochs_ >= self.max_epochs_ or any(stopped)

    def _write(self, net, has_ended=False):
        """Write the state."""
        state = {
            "net": capture_net(net, self.rows_, self, self.own_),
            "begin": self.begin_,
            "generators": self._generators(net),
            "epochs": self.epochs_,
            "has_ended": has_ended,
        }
        try:
            self.file_.write(state, self.epochs_)
        except (AttributeError, TypeError, pickle.PicklingError) as error:
            raise ValueError(_what_cannot_be_pickled(state, error)) from error

    def _go_on_from(self, net, state):
        """Restore the net, and the generators to before rows are set aside."""
        restore_net(net, state["net"], self)
        self.begin_, self.epochs_ = state["begin"], state["epochs"]
        restore_generators(net, self.begin_)
        if state["has_ended"]:
            self.end_, self.epochs_ = state, self.max_epochs_
        if net.verbose:
            print(f"Going on after epoch {len(net.history)} from {self.file_.path}.")
        # skorch reads this after all callbacks have begun
        net.max_epochs = max(0, self.max_epochs_ - self.epochs_)
        net.callbacks_ = [("return", _Return(self, state)), *net.callbacks_]


class _Return(Callback):
    """First callback of a resumed fit; returns to its position before the first epoch.

    By then the validation rows have been drawn, with the generators as they were when
    training first began.
    """

    def __init__(self, checkpoint, state):
        self.checkpoint = checkpoint
        self.state = state

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Continue with the epochs that are left."""
        self._leave(net)

    def on_train_end(self, net, X=None, y=None, **kwargs):
        """Restore here if no epochs were left."""
        self._leave(net)

    def _leave(self, net):
        """Restore generators and parameters, only once."""
        if self.state["epochs"] > 0:
            restore_generators(net, self.state["generators"])
        net.max_epochs = self.checkpoint.max_epochs_
        net.callbacks_ = _without_return(net.callbacks_)


def _without_return(callbacks):
    """Leave out the callback that only starts a resumed training."""
    return [pair for pair in callbacks if not isinstance(pair[1], _Return)]


def _has_stopped(callback):
    """Return whether a callback has ended the training, by its interrupt."""
    if isinstance(callback, EarlyStopping):
        return callback.misses_ >= callback.patience
    return getattr(callback, "has_ended_training", False)


def _what_cannot_be_pickled(state, error):
    """Name the callback and the attribute that cannot be pickled."""
    for callback, memory in state["net"]["callbacks"].items():
        for name, value in {**memory["values"], **memory["parts"]}.items():
            if pickled(value) is None:
                return (
                    f"The callback {callback!r} cannot be stored, as its attribute "
                    f"{name} cannot be pickled ({error}). Let its class define "
                    "__getstate__, which leaves out what it makes anew in "
                    "on_train_begin."
                )
    return f"The net cannot be stored: {error}."
