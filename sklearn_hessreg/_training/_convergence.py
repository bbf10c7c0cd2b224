"""Convergence: MLPClassifier's stopping rules and learning rates, for skorch."""

import math
from copy import deepcopy

from skorch.callbacks import Callback


class Convergence(Callback):
    """Decide after each epoch whether to stop, and set the next learning rate.

    The rules are those of MLPClassifier: an epoch is no improvement if the training
    loss is not below the best one by `tol` or, with `early_stopping`, the validation
    score is not above the best one by `tol`. After more than `n_iter_no_change` such
    epochs in a row training stops, or an "adaptive" learning rate is divided by 5.
    skorch's EarlyStopping compares with the last improvement instead of the best
    epoch, so it stops at other epochs. The losses and scores are recorded here, since
    other callbacks may exchange the net's history.
    """

    def __init__(self, spec):
        self.spec = spec

    def initialize(self):
        """Forget all epochs."""
        self.t_ = 0
        self.n_iter_ = 0
        self.misses_ = 0
        self.loss_curve_ = []
        self.best_loss_ = math.inf
        self.validation_scores_ = []
        self.best_validation_score_ = -math.inf
        self.best_weights_ = None
        return self

    def begin_training(self, net):
        """Count from here, and take these weights for the best until others are."""
        self.n_iter_ = 0
        if self.spec.early_stopping:
            self.best_weights_ = deepcopy(net.module_.state_dict())

    def on_train_end(self, net, X=None, y=None, **kwargs):
        """Return to the weights of the best validation score."""
        if self.spec.early_stopping:
            net.module_.load_state_dict(self.best_weights_)
            self.best_weights_ = None

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Compare the epoch with the best one and act on it."""
        self.t_ += len(dataset_train)
        self.n_iter_ += 1
        improved = self._improves_loss(net.history[-1, "train_loss"])
        if dataset_valid is not None:
            better = self._improves_score(net.history[-1, "valid_acc"], net)
            improved = better if self.spec.early_stopping else improved
        self.misses_ = 0 if improved else self.misses_ + 1
        if self._schedule() == "invscaling":
            divisor = (self.t_ + 1) ** self.spec.power_t
            _set_learning_rate(net.optimizer_, net.lr / divisor)
        if self.misses_ > self.spec.n_iter_no_change:
            self._stop_or_slow_down(net)

    def _schedule(self):
        """Name the schedule of the learning rate; only SGD has one."""
        return self.spec.learning_rate if self.spec.solver == "sgd" else "constant"

    def _improves_loss(self, loss):
        """Keep the lowest training loss; tell whether this one is lower by tol."""
        improved = loss <= self.best_loss_ - self.spec.tol
        self.best_loss_ = min(loss, self.best_loss_)
        self.loss_curve_.append(float(loss))
        return improved

    def _improves_score(self, score, net):
        """Keep the best validation score; tell whether this one is better by tol."""
        improved = score >= self.best_validation_score_ + self.spec.tol
        best = score > self.best_validation_score_
        if best:
            self.best_validation_score_ = score
            if self.spec.early_stopping:
                self.best_weights_ = deepcopy(net.module_.state_dict())
        net.history.record("valid_acc_best", best)  # skorch's name, for its callbacks
        self.validation_scores_.append(score)
        return improved

    def _stop_or_slow_down(self, net):
        """Divide an adaptive learning rate by 5 while it is large, else stop."""
        learning_rate = net.optimizer_.param_groups[0]["lr"]
        if self._schedule() == "adaptive" and learning_rate > 1e-6:
            self.misses_ = 0
            _set_learning_rate(net.optimizer_, learning_rate / 5)
            return
        net.stop_training_ = True
        if net.verbose:
            what = "Validation score" if self.spec.early_stopping else "Training loss"
            print(
                f"{what} did not improve by {self.spec.tol:g} for more than "
                f"{self.spec.n_iter_no_change} epochs. Stopping."
            )


def _set_learning_rate(optimizer, learning_rate):
    """Change the learning rate of SGD and keep its velocity as MLPClassifier does."""
    for group in optimizer.param_groups:
        # torch's momentum buffer holds the velocity divided by the learning rate
        for parameter in group["params"]:
            velocity = optimizer.state[parameter].get("momentum_buffer")
            if velocity is not None:
                velocity.mul_(group["lr"] / learning_rate)
        group["lr"] = learning_rate
