"""The skorch net inside the estimator: weighted loss and in-memory batches."""

import math
from copy import copy, deepcopy

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch.nn import functional as F

from sklearn_hessreg._training._batches import Samples
from sklearn_hessreg._training._state import rebuild_net, reduce_net

PREDICTION_BATCH = 1024
_BATCH_HOOKS = ("on_batch_begin", "on_grad_computed", "on_batch_end")
_SIGNS = torch.tensor([-1.0, 1.0])  # of a single logit, for the first and second class


class MLPNet(NeuralNet):
    """NeuralNet on Samples: J = sum(w * l) / sum(w), penalised by alpha in training.

    With `decay_in_optimizer` the first group of the optimizer's parameters holds the
    weights, and its weight decay is the penalty. `stop_training_` ends the training
    before the next epoch, when every callback has seen the last one.
    """

    def __init__(self, *args, alpha=0.0, decay_in_optimizer=False, **kwargs):
        super().__init__(*args, **kwargs)
        self.alpha = alpha
        self.decay_in_optimizer = decay_in_optimizer

    @property
    def out_activation(self):
        """What turns logits into probabilities, in MLPClassifier's words."""
        logistic = self.criterion is torch.nn.BCEWithLogitsLoss
        return "logistic" if logistic else "softmax"

    def notify(self, method_name, **cb_kwargs):
        """Call a hook of the net and of its callbacks; of a batch, if they have one."""
        if method_name not in _BATCH_HOOKS:
            super().notify(method_name, **cb_kwargs)
            return
        getattr(self, method_name)(self, **cb_kwargs)
        for callback in self.listeners_[method_name]:
            getattr(callback, method_name)(self, **cb_kwargs)

    def infer(self, x, **fit_params):
        """Run the module on a batch; a tensor takes the short way."""
        if isinstance(x, torch.Tensor):
            return self.module_(x.to(self.device))
        return super().infer(x, **fit_params)

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Average the losses by weight."""
        target, weight = self._to_device(y_true)
        reduction = "mean" if weight is None else "none"
        if self.criterion_.reduction != reduction:
            self.criterion_.reduction = reduction
        loss = self.criterion_(y_pred, target)
        if weight is None:
            # the losses of a sample's labels are added up
            labels = target.shape[1] if target.ndim == 2 else 1
            return loss if labels == 1 else loss * labels
        losses = loss.sum(1) if loss.ndim == 2 else loss
        return losses @ (weight / weight.sum())

    def _to_device(self, y):
        """Move target and weight, if there is one, to the net's device."""
        return [part if part is None else part.to(self.device) for part in y]

    def train_step_single(self, batch, **fit_params):
        """Add MLPClassifier's penalty, alpha |W|^2 / (2 * weight of the batch).

        Its gradient goes in by the optimizer's weight decay or into W.grad, its value
        into the loss: in autograd's graph it would cost a third of a small net's step.
        """
        self._set_training(True)
        X, (_, weight) = batch
        y_pred = self.infer(X)
        loss = self.get_loss(y_pred, batch[1], training=True)
        loss.backward()
        decay = self.alpha / (len(X) if weight is None else weight.sum().item())
        if self.decay_in_optimizer:
            self.optimizer_.param_groups[0]["weight_decay"] = decay
        if self.alpha:
            squares = 0.0
            for W, w in self._flat_weights():
                if not self.decay_in_optimizer and W.grad is not None:
                    W.grad.add_(w.view_as(W), alpha=decay)
                squares += torch.dot(w, w).item()
            loss.detach_().add_(decay / 2 * squares)
        return {"loss": loss, "y_pred": y_pred}

    def _flat_weights(self):
        """Pair the weights with flat views outside autograd, kept while they hold."""
        if any(W.data_ptr() != w.data_ptr() for W, w in self.flat_weights_):
            self._flatten_weights()
        return self.flat_weights_

    def _flatten_weights(self):
        """Make these views."""
        weights = [layer.weight for layer in self.module_.layers]
        self.flat_weights_ = [(W, W.detach().view(-1)) for W in weights]

    def _zero_grad_optimizer(self, set_to_none=None):
        """Drop the gradients; torch's zero_grad takes as long as a layer."""
        for group in self.optimizer_.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def _set_training(self, training=True):
        """Switch the module's mode where it is another one, not in every batch."""
        if self.module_.training != training:
            super()._set_training(training)

    def validation_step(self, batch, **fit_params):
        """Record the weight of the samples and of the rightly classified ones."""
        step = super().validation_step(batch, **fit_params)
        target, weight = self._to_device(batch[1])
        predicted = classify(step["y_pred"], self.out_activation).view_as(target)
        right = (predicted == target).view(len(target), -1).all(1)
        if weight is None:
            weight = torch.ones_like(right, dtype=step["y_pred"].dtype)
        self.history.record_batch("valid_weight", weight.sum().item())
        self.history.record_batch("valid_right", weight[right].sum().item())
        return step

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Start with the right to train."""
        self.stop_training_ = False

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Stop before a new row of the history, if a callback has asked for it."""
        if self.stop_training_:
            raise KeyboardInterrupt  # skorch's way to end the training
        self._flatten_weights()
        # most callbacks have hooks of batches that do nothing
        self.listeners_ = {
            hook: [cb for _, cb in self.callbacks_ if _overrides(cb, hook)]
            for hook in _BATCH_HOOKS
        }
        super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Record the accuracy on the validation samples before all callbacks."""
        if dataset_valid is not None:
            rows = self.history[-1, "batches", :, ("valid_right", "valid_weight")]
            right, weight = np.sum(rows, axis=0)
            self.history.record("valid_acc", float(right / weight))

    def on_batch_end(self, net, batch=None, training=False, loss=None, **kwargs):
        """Refuse to go on from a loss that is not finite."""
        if training and not math.isfinite(loss := loss.item()):
            raise ValueError(f"The training loss became {loss} {self._advice()}")

    def check_weights(self):
        """Refuse weights that are not finite."""
        if not all(torch.isfinite(p).all() for p in self.module_.parameters()):
            raise ValueError(
                f"Training produced NaN or infinite weights {self._advice()}"
            )

    def _advice(self):
        """Say where training broke off and what to do."""
        lr = self.optimizer_.param_groups[0]["lr"]
        return (
            f"in epoch {len(self.history)}, so training was stopped and nothing of it "
            f"kept. Lower the learning rate (now {lr:g}), or scale the features, for "
            "instance with StandardScaler."
        )

    def predict_by_batch(self, X, function):
        """Apply a function to the logits of each batch of X, and join its arrays.

        skorch's own way would cost a single row half as much again.
        """
        samples = Samples(X)
        self._set_training(False)
        with torch.inference_mode():
            for start in range(0, len(samples), PREDICTION_BATCH):
                rows = slice(start, start + PREDICTION_BATCH)
                logits = self.module_(samples.inputs(rows).to(self.device))
                part = function(logits.cpu())
                if len(samples) <= PREDICTION_BATCH:
                    return part
                if start == 0:
                    joined = np.empty((len(samples), *part.shape[1:]), part.dtype)
                joined[rows] = part
        return joined

    def __getstate__(self):
        return reduce_net(self)

    def __setstate__(self, state):
        rebuild_net(self, state)

    def continue_from(self, net, keep_optimizer):
        """Take over copies of another net's weights, history and callback states."""
        self.module_.load_state_dict(net.module_.state_dict())
        self.history_ = type(net.history_)(net.history_)
        if keep_optimizer and type(self.optimizer_) is type(net.optimizer_):
            self.optimizer_.load_state_dict(deepcopy(net.optimizer_.state_dict()))
        for group in self.optimizer_.param_groups:
            group.setdefault("initial_lr", group["lr"])  # torch's schedulers want it
        old = dict(net.callbacks_)
        for name, callback in self.callbacks_:
            if type(old.get(name)) is type(callback):
                state = vars(old[name]).items()
                vars(callback).update({k: copy(v) for k, v in state if k.endswith("_")})


def _overrides(callback, hook):
    """Tell whether a callback has a hook of its own, not that of Callback."""
    own = getattr(callback, hook)
    return getattr(own, "__func__", None) is not getattr(Callback, hook)


def classify(logits, out_activation):
    """Turn logits into class indices, or into an indicator matrix of several labels."""
    if out_activation == "softmax":
        return logits.argmax(1)
    return (logits[:, 0] > 0 if logits.shape[1] == 1 else logits > 0).long()


def probabilities(logits, out_activation):
    """Turn logits into probabilities; one column is that of the second class."""
    if out_activation == "softmax":
        # along the columns of few classes torch's softmax takes 5 to 8 times as long
        return logits.t().contiguous().softmax(0).t()
    return (logits * _SIGNS if logits.shape[1] == 1 else logits).sigmoid()


def log_probabilities(logits, out_activation):
    """Turn logits into logarithms of probabilities, from the logits themselves."""
    if out_activation == "softmax":
        return logits.log_softmax(1)
    return F.logsigmoid(logits * _SIGNS if logits.shape[1] == 1 else logits)
