"""L-BFGS: scipy's optimizer on all samples at once, as epochs of a net.

An epoch is one iteration, a cycle of the method is one run of the optimizer.
"""

import numpy as np
import torch
from scipy.optimize import minimize

from sklearn_hessreg._training._uncompiled import Uncompiled

MAXIMA_REACHED = 1  # scipy's status for a run that hit a maximum


class LBFGS(Uncompiled, torch.optim.Optimizer):
    """Stand-in for an optimizer in a net whose weights scipy moves.

    `evaluations` counts how often a training has evaluated loss and gradient, `outcome`
    is the last run's result, `has_failed` says whether that run broke off.
    """

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr, "evaluations": 0, "has_failed": False})
        self.outcome = None

    @property
    def has_ended(self):
        """Whether the last run ended by itself: converged, or unable to go on."""
        return self.outcome is not None and self.outcome.status != MAXIMA_REACHED

    @property
    def has_failed(self):
        """Whether the weights are where the last run broke off; also kept in dumps."""
        return self.param_groups[0]["has_failed"]


class CycleOver(Exception):  # noqa: N818 - it is no error
    """Ends a scipy run from inside."""


def train_by_lbfgs(net, dataset_train, dataset_valid):
    """Train a net for at most `max_epochs` iterations, in runs of scipy's L-BFGS-B."""
    spec, optimizer = net.spec, net.optimizer_
    datasets = {"dataset_train": dataset_train, "dataset_valid": dataset_valid}
    last = net.epoch + net.max_epochs
    (group,) = optimizer.param_groups
    while net.epoch < last and group["evaluations"] < spec.max_fun:
        net.notify("on_epoch_begin", **datasets)  # ends a training that is over
        optimizer.outcome = None
        left = last - net.epoch + 1, spec.max_fun - group["evaluations"]
        run = Run(net, datasets)
        try:
            optimizer.outcome = run.minimize(*left)
            group["has_failed"] = run.has_failed()
        except CycleOver:
            continue
        finally:
            run.write(run.x)
        run.end_epoch()
    net.stop_training_ = True


class Run:
    """A run of the optimizer from the net's weights.

    When scipy reports an iteration, it is not yet known whether it was the last. That
    is known once scipy asks for another evaluation or returns, so the epoch ends then.
    """

    def __init__(self, net, datasets):
        self.net = net
        self.datasets = datasets
        # one batch: the net's batch size is the size of the data
        (self.batch,) = net.get_iterator(datasets["dataset_train"], training=True)
        self.parameters = [
            parameter
            for group in net.optimizer_.param_groups
            for parameter in group["params"]
            if parameter.requires_grad
        ]
        self.x = self._join(self.parameters)
        self.step = None  # of the last evaluation
        self.loss = None  # the recorded loss at x
        self.is_over = False  # whether an iteration's epoch is still to be ended
        self.overflowed = False  # whether a loss or gradient was not finite

    def minimize(self, max_iter, max_fun):
        """Minimise the penalised loss with MLPClassifier's options."""
        return minimize(
            self.evaluate,
            self.x,
            method="L-BFGS-B",
            jac=True,
            callback=self.note,
            options={
                "maxfun": max_fun,
                "maxiter": max_iter,
                "gtol": self.net.spec.tol,
            },
        )

    def evaluate(self, x):
        """Return loss and gradient at x; first end an iteration that is over."""
        net = self.net
        if self.is_over:
            self._go_on()
        self.write(x)
        net._zero_grad_optimizer()
        J, penalty, y_pred = net.compute_gradient(self.batch)
        value = J.item() + penalty
        self.step = {"loss": net.reported(J).add_(penalty), "y_pred": y_pred}
        net.notify(
            "on_grad_computed",
            named_parameters=net.get_all_learnable_params(),
            batch=self.batch,
            training=True,
        )
        net.optimizer_.param_groups[0]["evaluations"] += 1
        self.loss = self.step["loss"] if self.loss is None else self.loss
        gradient = self._join([parameter.grad for parameter in self.parameters])
        self.overflowed |= not (np.isfinite(value) and np.isfinite(gradient).all())
        return value, gradient

    def has_failed(self):
        """Return whether the run broke off where the gradient is large.

        scipy may mistake the end of a run that overflowed for convergence.
        """
        optimizer, tol = self.net.optimizer_, self.net.spec.tol
        broke_off = self.overflowed or optimizer.outcome.status != 0
        steepest = np.abs(optimizer.outcome.jac).max()
        return optimizer.has_ended and broke_off and not steepest <= tol

    def note(self, intermediate_result):
        """Store the point an iteration has reached, which is the last one evaluated."""
        self.x, self.loss = intermediate_result.x.copy(), self.step["loss"]
        self.is_over = True

    def end_epoch(self):
        """Record the epoch at the point reached, and validate."""
        net = self.net
        self.is_over = False
        step = {**self.step, "loss": self.loss}
        net.run_single_epoch(
            [self.batch], training=True, prefix="train", step_fn=lambda batch: step
        )
        valid = self.datasets["dataset_valid"]
        if valid is not None:
            net.run_single_epoch(
                net.get_iterator(valid, training=False),
                training=False,
                prefix="valid",
                step_fn=net.validation_step,
            )
        net.notify("on_epoch_end", **self.datasets)

    def _go_on(self):
        """End an epoch and begin another, unless a cycle ended with it."""
        self.write(self.x)
        self.end_epoch()
        if self.net.method.cycles_.is_due:
            raise CycleOver
        self.net.notify("on_epoch_begin", **self.datasets)

    @torch.no_grad()
    def write(self, x):
        """Write these values into the parameters."""
        sizes = [parameter.numel() for parameter in self.parameters]
        parts = torch.from_numpy(np.ascontiguousarray(x)).split(sizes)
        for parameter, part in zip(self.parameters, parts, strict=True):
            parameter.copy_(part.view_as(parameter))

    @staticmethod
    def _join(tensors):
        """Join tensors into one vector of scipy's dtype."""
        joined = torch.cat([tensor.detach().flatten() for tensor in tensors])
        return joined.cpu().double().numpy()
