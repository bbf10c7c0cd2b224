"""MLPNet: the skorch net inside the estimators, built from a TrainingSpec."""

import math
from dataclasses import replace
from functools import partial

import torch

from sklearn_hessreg._hessian import ALONE
from sklearn_hessreg._state import FitCheckpoint
from sklearn_hessreg._training._adam import Adam
from sklearn_hessreg._training._batches import Batches
from sklearn_hessreg._training._carry_over import capture, restore, to_plain
from sklearn_hessreg._training._epoch_end import Curves, ReinitOrStop
from sklearn_hessreg._training._lbfgs import LBFGS, train_by_lbfgs
from sklearn_hessreg._training._mlp import MLP, StackedMLP
from sklearn_hessreg._training._sharded import average_gradients, average_loss
from sklearn_hessreg._training._shortcuts import (
    ShortcutNet,
    backward,
    can_bypass_autograd,
    forward,
)
from sklearn_hessreg._training._uncompiled import SGD
from sklearn_hessreg._validation import check_device

PREDICTION_BATCH = 1024


class MLPNet(ShortcutNet):
    """A net on Samples: J = sum(w * l) / sum(w), penalised by alpha in training.

    `batch_order_` holds the order of the rows during training, `split_` the validation
    split if the net draws one itself, `held_out_`, if asked for, the rows held out in
    each cycle. `stop_training_` ends the training before the next epoch, after every
    callback has seen the last one.
    """

    def __init__(self, *args, spec=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.spec = spec

    def initialize(self):
        """Build all parts; nothing is trained yet."""
        super().initialize()
        self.begin_training(None)
        # the optimizer's first parameter group holds only the weights
        self.decay_in_optimizer_ = self.spec.solver in ("adam", "sgd")
        self.stacked_, self.held_out_ = None, None
        return self

    def begin_training(self, batch_order):
        """Reset everything that belongs to a single training."""
        self.batch_order_ = batch_order
        self.split_ = None
        self.scorer_ = None
        self.ranks_ = ALONE
        self.temporary_callbacks_ = []
        self.validated_ = []
        self.stop_training_ = self.is_interrupted_ = False
        self.flat_weights_ = []
        self.bypasses_autograd_, self.layers_ = None, []

    def fit_loop(self, X, y=None, epochs=None, **fit_params):
        """Train with the solver's own loop, if it has one."""
        if self.spec.solver != "lbfgs":
            return super().fit_loop(X, y, epochs, **fit_params)
        train_by_lbfgs(self, *self.get_split_datasets(X, y))
        return self

    @property
    def epoch(self):
        """The number of the last epoch begun, counting those of earlier trainings."""
        return self.method.cycles_.epochs

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Return the weighted mean of the losses."""
        return self._mean_loss(self.criterion_, y_pred, y_true)

    def _mean_loss(self, loss_of, outputs, y_true):
        """Return the weighted mean of `loss_of`, which reduces like the criterion."""
        target, weight = self._to_device(y_true)
        reduction = "mean" if weight is None else "none"
        if self.criterion_.reduction != reduction:
            self.criterion_.reduction = reduction
        loss = loss_of(outputs, target)
        if weight is None:
            # a sample's loss is the sum over its labels
            labels = target.shape[1] if target.ndim == 2 else 1
            return loss if labels == 1 else loss * labels
        losses = loss.sum(1) if loss.ndim == 2 else loss
        return losses @ (weight / weight.sum())

    def _to_device(self, y):
        """Move the target, and the weight if there is one, to the net's device."""
        return [part if part is None else part.to(self.device) for part in y]

    def train_step_single(self, batch, **fit_params):
        """Compute the gradient, and the loss as it is recorded."""
        J, penalty, y_pred = self.compute_gradient(batch)
        loss = self.reported(J)
        return {"loss": loss.add_(penalty) if penalty else loss, "y_pred": y_pred}

    def compute_gradient(self, batch):
        """Compute J, MLPClassifier's penalty, the outputs, and the gradient.

        The penalty is alpha |W|^2 / (2 * weight of the batch). Its gradient enters
        through the optimizer's weight decay or is added to W.grad: in autograd's graph
        it would cost a third of a small net's step.
        """
        self._set_training(True)
        alpha = self.spec.alpha
        if self.ranks_.size == 1:
            X, (_, weight) = batch
            y_pred, J = self.differentiate(*batch)
            decay = alpha / (len(X) if weight is None else weight.sum().item())
        else:
            y_pred, J, total = average_gradients(self, batch)
            decay = alpha / total
        if self.decay_in_optimizer_:
            self.optimizer_.param_groups[0]["weight_decay"] = decay
        squares = 0.0
        if alpha:
            for W, w in self._flat_weights():
                if not self.decay_in_optimizer_ and W.grad is not None:
                    W.grad.add_(w.view_as(W), alpha=decay)
                squares += torch.dot(w, w).item()
        return J.detach_(), decay / 2 * squares, y_pred

    def reported(self, loss):
        """Scale J to the recorded loss."""
        share = self.spec.head.reported_share(self.spec.layer_units[-1])
        return loss if share == 1 else loss * share

    def differentiate(self, X, y):
        """Return a batch's outputs and J, and store the gradients in the parameters."""
        if self.bypasses_autograd_ is None:
            self._look_at_layers()
        if not (self.bypasses_autograd_ and isinstance(X, torch.Tensor)):
            y_pred = self.infer(X)
            loss = self.get_loss(y_pred, y, training=True)
            loss.backward()
            return y_pred, loss
        head, pairs = self.spec.head, [detached for _, detached in self.layers_]
        h, y_pred = forward(pairs, self.module_.activation, X)
        outputs = head.prepare(y_pred)
        loss_of = partial(head.loss_of_prepared, self.criterion_)
        loss = self._mean_loss(loss_of, outputs, y)
        D = head.derivative(outputs, *y)
        gradients = backward(pairs, self.spec.activation, h, D)
        for ((W, b), _), both in zip(reversed(self.layers_), gradients, strict=True):
            W.grad, b.grad = both
        return y_pred, loss

    def _look_at_layers(self):
        """Check whether the layers are observed, and collect them, once per epoch.

        Each lookup of a module's attribute or view outside autograd takes microseconds.
        """
        self.bypasses_autograd_ = can_bypass_autograd(self)
        pairs = [(layer.weight, layer.bias) for layer in self.module_.layers]
        self.layers_ = [((W, b), (W.detach(), b.detach())) for W, b in pairs]

    def _flat_weights(self):
        """Pair the weights with flat views outside autograd; replace stale views."""
        if any(W.data_ptr() != w.data_ptr() for W, w in self.flat_weights_):
            self._flatten_weights()
        return self.flat_weights_

    def _flatten_weights(self):
        """Make the flat views."""
        weights = [layer.weight for layer in self.module_.layers]
        self.flat_weights_ = [(W, W.detach().view(-1)) for W in weights]

    def validation_step(self, batch, **fit_params):
        """Keep the outputs, to be scored once all are there."""
        step = super().validation_step(batch, **fit_params)
        self.validated_.append((step["y_pred"], *self._to_device(batch[1])))
        loss = step["loss"]
        if self.ranks_.size > 1:
            loss = average_loss(self, batch, loss)
        return {**step, "loss": self.reported(loss)}

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Stop before adding a row to the history, if a callback has asked to stop."""
        if self.stop_training_:
            raise KeyboardInterrupt  # skorch's way to end the training
        self.validated_ = []
        self._flatten_weights()
        self.bypasses_autograd_ = None  # checked after callbacks have begun the epoch
        if self.history:
            self.history[-1]["batches"] = []  # many times larger than the rest
        super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)
        # the method counts it next; skorch counts rows, of which some may be dropped
        self.history.record("epoch", self.epoch + 1)

    def on_batch_end(self, net, batch=None, training=False, loss=None, **kwargs):
        """Refuse a loss that is not finite; record the number of rows on all ranks."""
        if self.ranks_.size > 1:
            part = "train" if training else "valid"
            self.history.record_batch(f"{part}_batch_size", self.rows_of_batch_)
        if training and not math.isfinite(loss := loss.item()):
            raise ValueError(f"The training loss became {loss} {self._advice()}")

    @property
    def method(self):
        """The callback that re-initialises or stops."""
        return dict(self.callbacks_)["hessian_reinit"]

    @property
    def snapshots_(self):
        """The networks kept, of which the last is the module; empty with k=0."""
        return self.method.snapshots_

    def end_here(self):
        """Become what predicts if training ends at this point."""
        self.module_.eval()
        self.method.end_here(self)
        if len(networks := self.snapshots_) > 1:
            self.stacked_ = StackedMLP(networks, self.module_, self.device)

    def check_weights(self):
        """Refuse weights that are not finite, also those that training goes on from."""
        suspended = self.method.cycles_.suspended if self.spec.keep_optimizer else None
        weights = [*self.module_.parameters()]
        weights += [torch.tensor(w) for w in (suspended or {}).values()]
        if not all(torch.isfinite(w).all() for w in weights):
            raise ValueError(
                f"Training produced NaN or infinite weights {self._advice()}"
            )

    def check_outputs(self, samples):
        """Refuse finite weights whose outputs for the training rows are not finite."""
        if samples.X.shape[0] == 0:  # a rank without rows
            return
        network, layers = self.infer, [(x.weight, x.bias) for x in self.module_.layers]
        if self.stacked_ is not None:  # the module is one of them
            network, layers = self.stacked_, self.stacked_.layers
        limit = self.spec.head.largest_output(self.spec.torch_dtype)
        largest = max(samples.X.max().item(), -samples.X.min().item())
        # a bound on every output; only beyond it are the rows themselves checked
        for W, b in layers:
            steepest, offset = W.detach().abs().max(), b.detach().abs().max()
            largest = largest * W.shape[-1] * steepest.item() + offset.item()
        if largest < limit:
            return
        with torch.inference_mode():
            for X, _ in Batches(samples, PREDICTION_BATCH):
                outputs = network(X)
                if not (torch.isfinite(outputs) & (outputs <= limit)).all():
                    raise ValueError(
                        f"Training produced weights whose outputs overflow "
                        f"{self._advice()}"
                    )

    def _advice(self):
        """Say where training broke off and what to do."""
        lr = self.optimizer_.param_groups[0]["lr"]
        slower = f"Lower the learning rate (now {lr:g}), or scale"
        return (
            f"in epoch {self.epoch}, so training was stopped and nothing of it kept. "
            f"{'Scale' if self.spec.solver == 'lbfgs' else slower} the "
            f"{self.spec.head.to_scale}."
        )

    def get_extra_state(self):
        """Return where this training is, besides what is to be told of any net."""
        order, split = self.batch_order_, self.split_
        return {
            "seed": self.spec.seed,
            "stop_training": self.stop_training_,
            "split": None if split is None else split.state_dict(),
            "rows": order.rows,
            "random_state": order.random_state.get_state(legacy=False),
        }

    def set_extra_state(self, state):
        """Go to where another process's training of this net was."""
        # without a random_state that process has drawn another seed
        self.spec = replace(self.spec, seed=state["seed"])
        self.stop_training_ = state["stop_training"]
        if self.split_ is not None:
            self.split_.load_state_dict(state["split"])
        self.batch_order_.rows = state["rows"]
        self.batch_order_.random_state.set_state(state["random_state"])

    def __getstate__(self):
        # the user's callbacks are part of the state
        spec = replace(self.spec, device=self.device, skorch_callbacks=())
        return {"spec": spec, "state": to_plain(self)}

    def __setstate__(self, dumped):
        spec = dumped["spec"]
        build_net(replace(spec, device=_device_or_cpu(spec.device)), self)
        restore(self, dumped["state"])
        self.end_here()

    def copy(self):
        """Copy the net as if training ended here; training on leaves it as it is."""
        net = build_net(replace(self.spec, skorch_callbacks=()))
        restore(net, capture(self))
        net.end_here()
        return net


def _device_or_cpu(device):
    """Return the device, or "cpu" if there is no such device."""
    try:
        check_device(device)
    except ValueError:
        return "cpu"
    return device


def build_net(spec, net=None):
    """Build and initialise the net of a spec; its weights are not drawn yet.

    If an empty `net` is given, as in unpickling, it is filled in place.
    """
    net = MLPNet.__new__(MLPNet) if net is None else net
    net.__init__(
        MLP,
        spec=spec,
        module__layer_units=list(spec.layer_units),
        module__activation=spec.activation,
        module__dropout=spec.dropout,
        module__dtype=spec.torch_dtype,
        module__device=spec.device,
        criterion=spec.head.criterion,
        lr=spec.learning_rate_init,
        **_optimizer(spec),
        iterator_train=Batches,
        iterator_train__order=None,
        iterator_valid=Batches,
        iterator_valid__batch_size=PREDICTION_BATCH,
        train_split=None,
        callbacks=_callbacks(spec),
        **({} if spec.verbose else {"callbacks__print_log": None}),
        verbose=spec.verbose,
        device=spec.device,
    )
    return net.initialize()


def _optimizer(spec):
    """Translate the solver's hyperparameters to skorch's."""
    if not isinstance(spec.solver, str):
        return {"optimizer": spec.solver}
    if spec.solver == "lbfgs":
        return {"optimizer": LBFGS}
    shared = {
        "optimizer__fused": True,
        "optimizer__param_groups": [("*.weight", {})],
    }
    if spec.solver == "sgd":
        return {
            "optimizer": SGD,
            "optimizer__momentum": spec.momentum,
            # torch refuses nesterov without momentum, where it means nothing
            "optimizer__nesterov": spec.nesterovs_momentum and spec.momentum > 0,
            **shared,
        }
    return {
        "optimizer": Adam,
        "optimizer__betas": (float(spec.beta_1), float(spec.beta_2)),
        "optimizer__eps": spec.epsilon,
        **shared,
    }


def _callbacks(spec):
    """List what records, the method with the stopping rule, and the user's."""
    for given in spec.skorch_callbacks:
        callback = given[-1] if isinstance(given, tuple) else given
        if isinstance(callback, FitCheckpoint):
            raise ValueError(
                "skorch_callbacks has a FitCheckpoint, which does not know the "
                f"estimator's parameters and data. Use checkpoint={callback.path!r} of "
                "the estimator."
            )
    return [
        ("curves", Curves()),
        (
            "hessian_reinit",
            ReinitOrStop(
                **spec.method,
                monitor=spec.score_column if spec.early_stopping else "train_loss",
                lower_is_better=not spec.early_stopping,
                load_best=spec.early_stopping,
                tol=spec.tol,
                n_iter_no_change=spec.n_iter_no_change,
                random_state=spec.seed,
                # each row is fetched from the rank that holds it
                rows="replicated" if spec.distributed else None,
            ),
        ),
        *spec.skorch_callbacks,
    ]
