"""scikit-learn's callbacks on the estimator: told of its fit and of every epoch."""

from contextlib import contextmanager
from copy import copy, deepcopy
from functools import partial

from skorch.callbacks import Callback

from sklearn_hessreg._reinit import HessianReinit


def init_context(estimator, name, max_epochs):
    """Set the callbacks up for a fit; None if the estimator has none."""
    if not hasattr(estimator, "_skl_callbacks"):
        return None
    return estimator._init_callback_context(task_name=name, max_subtasks=max_epochs)


@contextmanager
def fit_task(estimator, context, X, y, sample_weight):
    """Tell the callbacks that the fit begins and ends; yield what tells the epochs.

    That is a list of skorch callbacks, empty if there is no context.
    """
    if context is None:
        yield []
        return
    weight = None if sample_weight is None else {"sample_weight": sample_weight}
    task = {"estimator": estimator, "X": X, "y": y, "metadata": weight}
    context.call_on_fit_task_begin(**task)
    yield [("sklearn_callbacks", EpochTasks(context, task))]
    context.call_on_fit_task_end(**task, reconstruction_attributes={})


class EpochTasks(Callback):
    """Make every epoch of a skorch net a task within the task of the fit.

    A callback that returns True at the end of an epoch stops the training.
    """

    def __init__(self, context, task):
        self.context = context
        self.task = task
        self.epoch = None
        self.n_iter = 0

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Begin a task."""
        self.epoch = self.context.subcontext(task_name="epoch")
        self.epoch.call_on_fit_task_begin(**self.task)

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """End it; a model is made only for callbacks that look at one."""
        self.n_iter += 1
        epoch, self.epoch = self.epoch, None
        model = partial(_fitted_attributes, self.task["estimator"], net, self.n_iter)
        if epoch.call_on_fit_task_end(**self.task, reconstruction_attributes=model):
            net.stop_training_ = True

    def on_train_end(self, net, X=None, y=None, **kwargs):
        """End the task of an epoch that the user has interrupted."""
        if self.epoch is not None:
            self.epoch.call_on_fit_task_end(estimator=self.task["estimator"])


def _fitted_attributes(estimator, net, n_iter):
    """Collect the attributes of the estimator as if training had ended here."""
    snapshot = copy(estimator)
    snapshot._publish(_frozen(net), n_iter)
    return {name: value for name, value in vars(snapshot).items() if name[-1] == "_"}


def _frozen(net):
    """Copy a net such that training leaves the copy's model and records alone."""
    # not by copy(net), which pickles the net
    frozen = object.__new__(type(net))
    vars(frozen).update(vars(net))
    vars(frozen).update(
        module_=deepcopy(net.module_),
        history_=type(net.history_)(net.history_),
        listeners_={},
        flat_weights_=[],
        callbacks_=[
            # the user's own may not be made to be copied
            (name, copy(callback) if isinstance(callback, HessianReinit) else callback)
            for name, callback in net.callbacks_
            if not isinstance(callback, EpochTasks)
        ],
    )
    return frozen
