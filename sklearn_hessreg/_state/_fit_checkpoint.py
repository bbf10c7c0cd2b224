"""FitCheckpoint: the callback that makes any skorch net's fit resumable."""

import pickle
from numbers import Integral
from os import PathLike

from sklearn.utils._param_validation import Interval, validate_parameter_constraints
from skorch.callbacks import Callback, EarlyStopping, PrintLog

from sklearn_hessreg._hessian import ranks_of, without_ddp
from sklearn_hessreg._reinit import HessianReinit
from sklearn_hessreg._state._callback_state import pickles_of
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
    """Keep a skorch net's training in a file, from which a killed fit goes on.

    The file holds weights, buffers, optimizers, history, what the callbacks have learnt
    and the random generators. A ``fit`` that was killed at any moment and is called
    again, in a new process, with the same parameters and data, goes on from there and
    ends with the bits of one that was never interrupted, on the same machine with the
    same number of threads. The estimators have ``checkpoint`` for it.

    Parameters
    ----------
    path : str or path-like
        The file. Name an existing folder in a search: each fit then has a file of its
        own in it, named by its parameters and data.
    every : int, default=1
        Write the file after every so many epochs, and after the last.
    keep : bool, default=False
        Whether the file stays when training has ended. The same fit called again then
        trains nothing and returns the net of the end. Else the file is deleted.

    Raises
    ------
    ValueError
        When training begins, if this is not the last one in ``callbacks``; if the file
        is of another fit, with what differs and both values; if it is damaged or no
        checkpoint; if what a callback has learnt cannot be pickled; in a net that
        trains in several processes, or by skorch's ``AccelerateMixin``.
    OSError
        If the file cannot be written, as on a full disk. What it held before is kept.

    Notes
    -----
    Training draws from the global generators of torch (CPU and CUDA), numpy and Python,
    so a fit that goes on sets them: to where they were when training began, for the
    rows set aside for validation, then to where they were after the last epoch stored.
    They end where the uninterrupted fit leaves them. No seed is needed. Generators that
    are among the net's parameters, or attributes of these, of its modules and of its
    callbacks are stored too. Generators inside a data set of your own are not.

    The same fit has the same class of net, parameters (``verbose`` may differ,
    ``max_epochs`` may not), callbacks, shapes, ``X``, ``y``, weights of the criterion,
    and versions of the packages. Initial weights and ``fit_params`` are not compared.
    A function is told by its name, a module that is given ready-made by what it prints,
    a torch data set that does not hold arrays by its class and length. Of skorch's
    callbacks that write logs, and of an argument of another callback that cannot be
    pickled, as a writer, only the class counts.

    What a callback has learnt is each attribute that ends in an underscore, or that is
    not among the arguments of its ``__init__``. ``on_train_begin`` is called once more
    before it is restored. Of a net of your own class each attribute that training has
    changed is stored; of an object with a ``state_dict``, such as a ``GradScaler`` or
    an average of the weights, that. Attributes of modules that are neither weights nor
    buffers are not stored.

    An interruption leaves the file, as does an error. skorch has one exception for
    Ctrl-C and for a callback that ends the training, so only of its EarlyStopping and
    of :class:`HessianReinit` it is known that training has ended. Any other leaves the
    file of the last epoch but one: a further fit comes to the same end. Or delete it.

    ``partial_fit`` goes on likewise, and so does ``fit`` with ``warm_start=True``: each
    call is a training of its own, recognised by the weights that it begins with. Give
    each of them a path of its own.

    The file is a pickle: use none from people you do not trust.

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
        """Belong to no training."""
        self.file_ = self.begin_ = self.end_ = self.rows_ = self.own_ = None
        return self

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Go on from the file, or write it before anything is trained in vain."""
        self.check_params()
        self._check_net(net)
        net.callbacks_ = _without_return(net.callbacks_)
        self.file_ = StateFile(self.path, describe_net(net, X, y, self), "path")
        self.max_epochs_, self.epochs_ = net.max_epochs, 0
        self.begin_ = capture_generators(net)
        self.end_, self.rows_, self.own_ = None, PickledRows(), pickles_of(net)
        state = self.file_.load()
        if state is None:
            self._write(net)
        else:
            self._go_on_from(net, state)

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Write the file if it is time."""
        if self.file_ is None:  # a loop without a beginning
            return
        self.epochs_ += 1
        if self.epochs_ % self.every == 0 or self.epochs_ >= self.max_epochs_:
            self._write(net)

    def on_train_end(self, net, X=None, y=None, **kwargs):
        """Delete the file, or write the end into it; keep it after an interruption."""
        if self.file_ is None:
            return
        if self.end_ is not None:  # undo what other callbacks have done once more
            restore_net(net, self.end_["net"], self)
            restore_generators(net, self.end_["generators"])
        if self._has_ended(net):
            if self.keep:
                self._write(net, has_ended=True)
            else:
                self.file_.remove()
        self.initialize()

    def _check_net(self, net):
        """Refuse a place where not all can be seen, and processes that share a net."""
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

    def _has_ended(self, net):
        """Tell an end from an interruption, both of which are KeyboardInterrupts."""
        stopped = (_has_stopped(callback) for _, callback in net.callbacks_)
        return self.end_ is not None or self.epochs_ >= self.max_epochs_ or any(stopped)

    def _write(self, net, has_ended=False):
        """Write the state."""
        state = {
            "net": capture_net(net, self.rows_, self, self.own_),
            "begin": self.begin_,
            "generators": capture_generators(net),
            "epochs": self.epochs_,
            "has_ended": has_ended,
        }
        try:
            self.file_.write(state, self.epochs_)
        except (AttributeError, TypeError, pickle.PicklingError) as error:
            raise ValueError(_what_cannot_be_pickled(state, error)) from error

    def _go_on_from(self, net, state):
        """Bring the net there, and the generators to where rows are set aside."""
        restore_net(net, state["net"], self)
        self.begin_, self.epochs_ = state["begin"], state["epochs"]
        restore_generators(net, self.begin_)
        if state["has_ended"]:
            self.end_, self.epochs_ = state, self.max_epochs_
        if net.verbose:
            print(f"Going on after epoch {len(net.history)} from {self.file_.path}.")
        # skorch reads it when all callbacks have begun
        net.max_epochs = max(0, self.max_epochs_ - self.epochs_)
        net.callbacks_ = [("return", _Return(self, state)), *net.callbacks_]


class _Return(Callback):
    """Bring a net, before its first epoch, to where it was; it is the first callback.

    The rows set aside for validation were drawn before that, by the generators as they
    were when training first began.
    """

    def __init__(self, checkpoint, state):
        self.checkpoint = checkpoint
        self.state = state

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Go on with the epochs that are left."""
        self._leave(net)

    def on_train_end(self, net, X=None, y=None, **kwargs):
        """There were none left."""
        self._leave(net)

    def _leave(self, net):
        """Set generators and parameters back, and do so once."""
        if self.state["epochs"] > 0:
            restore_generators(net, self.state["generators"])
        net.max_epochs = self.checkpoint.max_epochs_
        net.callbacks_ = _without_return(net.callbacks_)


def _without_return(callbacks):
    """Leave out what only a training that goes on begins with."""
    return [pair for pair in callbacks if not isinstance(pair[1], _Return)]


def _has_stopped(callback):
    """Tell whether a callback has ended the training, which it does by an interrupt."""
    if isinstance(callback, EarlyStopping):
        return callback.misses_ >= callback.patience
    if isinstance(callback, HessianReinit):
        return callback.is_complete and callback.is_due
    return False


def _what_cannot_be_pickled(state, error):
    """Name the callback that has learnt it, and the attribute."""
    for callback, memory in state["net"]["callbacks"].items():
        for name, value in {**memory["values"], **memory["parts"]}.items():
            try:
                pickle.dumps(value)
            except (AttributeError, TypeError, pickle.PicklingError):
                return (
                    f"The callback {callback!r} cannot be stored, as its attribute "
                    f"{name} cannot be pickled ({error}). Let its class define "
                    "__getstate__, which leaves out what it makes anew in "
                    "on_train_begin."
                )
    return f"The net cannot be stored: {error}."
