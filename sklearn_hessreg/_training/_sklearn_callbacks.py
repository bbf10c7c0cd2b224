"""scikit-learn's callbacks on an estimator: one task for the fit, one per epoch."""

from contextlib import contextmanager
from functools import partial

from skorch.callbacks import Callback


def fit_task(estimator, name, max_epochs, X, y, sample_weight, attributes):
    """Set up the callbacks for a fit; return a context that reports the fit."""
    context = estimator._init_callback_context(task_name=name, max_subtasks=max_epochs)
    weight = None if sample_weight is None else {"sample_weight": sample_weight}
    task = {"estimator": estimator, "X": X, "y": y, "metadata": weight}
    return _report(context, task, attributes)


@contextmanager
def _report(context, task, attributes):
    """Report a fit; yield the skorch callbacks that report its epochs."""
    context.call_on_fit_task_begin(**task)
    yield [("sklearn_callbacks", EpochTasks(context, task, attributes))]
    context.call_on_fit_task_end(**task, reconstruction_attributes={})


class EpochTasks(Callback):
    """Report every epoch of a net as a task within the task of the fit."""

    def __init__(self, context, task, attributes):
        self.context = context
        self.task = task
        self.attributes = attributes
        self.epoch = None

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Begin the epoch's task."""
        self.epoch = self.context.subcontext(task_name="epoch")
        self.epoch.call_on_fit_task_begin(**self.task)

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """End the epoch's task; build a model only for callbacks that look at one."""
        epoch, self.epoch = self.epoch, None
        model = partial(self._model, net)
        if epoch.call_on_fit_task_end(**self.task, reconstruction_attributes=model):
            net.stop_training_ = True

    def on_train_end(self, net, X=None, y=None, **kwargs):
        """End the task of an epoch that the user interrupted."""
        if self.epoch is not None:
            self.epoch.call_on_fit_task_end(estimator=self.task["estimator"])

    def _model(self, net):
        """Return the attributes of a model of this epoch."""
        return self.attributes(net.copy())
