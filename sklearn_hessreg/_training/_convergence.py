"""Convergence: MLPClassifier's stopping rules and learning rates, for skorch."""

import math
from copy import deepcopy
from dataclasses import replace
from numbers import Real

import torch
from skorch.callbacks import Callback

from sklearn_hessreg._reinit import Plateau
from sklearn_hessreg._training._sharded import gather_outputs


class Convergence(Callback):
    """Decide after each epoch whether to stop, and set the next learning rate.

    The rules are MLPClassifier's, applied within each cycle of the method. An epoch is
    no improvement if the training loss is not below the cycle's best by `tol` or, with
    `early_stopping`, the validation score is not above the cycle's best by `tol`. After
    more than `n_iter_no_change` such epochs in a row, an "adaptive" learning rate is
    divided by 5, the cycle ends, or the training ends. skorch's EarlyStopping compares
    with the last improvement instead of the best epoch, so it stops at other epochs.
    Losses and scores are recorded here because other callbacks may replace the net's
    history.
    """

    def __init__(self, spec):
        self.spec = spec

    def initialize(self):
        """Forget all epochs."""
        self.t_ = 0
        self.n_iter_ = 0
        self.loss_curve_ = []
        self.validation_scores_ = []
        self.plateau_ = Plateau()
        self.best_weights_ = None
        self.watched_ = None
        return self

    def begin_training(self, net):
        """Count epochs from here; if the method is on, begin a new cycle."""
        self.n_iter_ = 0
        self._forget_other_units(net)
        method = dict(net.callbacks_)["hessian_reinit"]
        if method.k > 0 and not self.spec.keep_optimizer:
            method.forget_snapshots()
            self.plateau_ = Plateau()
        if self.spec.early_stopping and self.plateau_.best is not None:
            # the previous call's weights are the best until an epoch beats them
            self.best_weights_ = deepcopy(net.module_.state_dict())

    def _forget_other_units(self, net):
        """Forget scores in other units than the scores watched now."""
        scoring = self.spec.scoring
        scoring = getattr(scoring, "__name__", None) or repr(scoring)
        watched = scoring if self.spec.early_stopping else "training loss"
        if self.watched_ not in (None, watched):
            self.plateau_, self.validation_scores_ = Plateau(), []
            dict(net.callbacks_)["hessian_reinit"].forget_scores()
        self.watched_ = watched

    def on_train_end(self, net, X=None, y=None, **kwargs):
        """Restore the weights of the cycle's best validation score."""
        method = dict(net.callbacks_)["hessian_reinit"]
        if self.n_iter_ > 0 and not method.snapshots_:
            self._check_score()
        self._return_to_best(net)
        self.best_weights_ = None

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Record the epoch, compare it with the cycle's best one and act on it."""
        self.t_ += len(dataset_train)
        self.n_iter_ += 1
        self.loss_curve_.append(float(net.history[-1, "train_loss"]))
        if dataset_valid is not None:
            record_scores(net, dataset_valid)  # a scorer may look at this epoch's loss
            self._note_score(net)
        self.plateau_ = self.plateau_.watch(
            self._last(),
            tol=self.spec.tol,
            lower_is_better=not self.spec.early_stopping,
        )
        if self.spec.early_stopping and self.plateau_.is_best:
            self.best_weights_ = deepcopy(net.module_.state_dict())
        if self._schedule() == "invscaling":
            divisor = (self.t_ + 1) ** self.spec.power_t
            _set_learning_rate(net.optimizer_, net.lr / divisor)
        plateaued = self._is_reached(net) and not self._slows_down(net)
        method = dict(net.callbacks_)["hessian_reinit"]
        if method.is_cycle_over(plateaued) and not self._has_failed(net):
            self._end_cycle(net, method)
            net.stop_training_ |= method.is_complete
            if net.split_ is not None and not method.is_complete:
                net.split_.rotate()
        elif plateaued:
            self._stop(net)

    def monitored(self, net):
        """Return the cycle's best validation score, or else its last training loss.

        Return None before the first epoch has ended, and where L-BFGS broke off.
        """
        if self.plateau_.best is None or self._has_failed(net):
            return None
        return self.plateau_.best if self.spec.early_stopping else self._last()

    def _last(self):
        """Return the last epoch's value of what is watched."""
        watched = (
            self.validation_scores_ if self.spec.early_stopping else self.loss_curve_
        )
        return watched[-1]

    def _is_reached(self, net):
        """Return whether the plateau is reached; L-BFGS decides that itself."""
        if self.spec.solver == "lbfgs":
            return net.optimizer_.has_ended
        return self.plateau_.is_reached(self.spec.n_iter_no_change)

    def _has_failed(self, net):
        """Return whether the weights are where L-BFGS broke off."""
        return self.spec.solver == "lbfgs" and net.optimizer_.has_failed

    def _note_score(self, net):
        """Record the validation score, and whether it is the best score so far."""
        column, scores = self.spec.score_column, self.validation_scores_
        score = net.history[-1, column]
        best = max(filter(math.isfinite, scores), default=-math.inf)
        # the name that skorch's callbacks look for
        net.history.record(f"{column}_best", math.isfinite(score) and score > best)
        scores.append(score)

    def _check_score(self):
        """Refuse a cycle without a finite score: it has no best epoch."""
        if self.spec.early_stopping and self.plateau_.best is None:
            score = self.validation_scores_[-1]
            raise ValueError(
                f"The validation score ({self.spec.score_name}) was never finite in "
                f"the last {self.plateau_.misses} epochs (now {score}), so early "
                "stopping has no best network to keep. Use another scoring, check the "
                "validation data for extreme values and missing classes, or set "
                "early_stopping=False."
            )

    def _end_cycle(self, net, method):
        """Hand the cycle's network to the method, and forget the cycle."""
        self._check_score()
        self._return_to_best(net)
        method.end_cycle(net, self.monitored(net))
        self.plateau_, self.best_weights_ = Plateau(), None
        if self._schedule() == "adaptive":  # by now too small for new weights
            _set_learning_rate(net.optimizer_, self.spec.learning_rate_init)

    def _return_to_best(self, net):
        """Restore the weights of the cycle's best epoch, if there is one."""
        if self.best_weights_ is not None:
            net.module_.load_state_dict(self.best_weights_)

    def _schedule(self):
        """Return the learning rate schedule; only SGD has one."""
        return self.spec.learning_rate if self.spec.solver == "sgd" else "constant"

    def _slows_down(self, net):
        """Divide an adaptive learning rate by 5, unless it is already small."""
        learning_rate = net.optimizer_.param_groups[0]["lr"]
        if self._schedule() != "adaptive" or learning_rate <= 1e-6:
            return False
        self.plateau_ = replace(self.plateau_, misses=0)
        _set_learning_rate(net.optimizer_, learning_rate / 5)
        return True

    def _stop(self, net):
        """End the training before the next epoch."""
        self._check_score()
        net.stop_training_ = True
        if net.verbose and self.spec.solver == "lbfgs":
            print(f"{net.optimizer_.outcome.message}. Stopping.")
        elif net.verbose:
            what = "Validation score" if self.spec.early_stopping else "Training loss"
            print(
                f"{what} did not improve by {self.spec.tol:g} for more than "
                f"{self.spec.n_iter_no_change} epochs. Stopping."
            )


def _set_learning_rate(optimizer, learning_rate):
    """Change SGD's learning rate and keep its velocity, as MLPClassifier does."""
    for group in optimizer.param_groups:
        # torch's momentum buffer holds the velocity divided by the learning rate
        for parameter in group["params"]:
            velocity = optimizer.state[parameter].get("momentum_buffer")
            if velocity is not None:
                velocity.mul_(group["lr"] / learning_rate)
        group["lr"] = learning_rate


def record_scores(net, valid):
    """Record the validation score of the head, and that of `spec.scoring`."""
    spec = net.spec
    outputs, target, weight = zip(*net.validated_, strict=True)
    outputs, target = torch.cat(outputs), torch.cat(target)
    weight = None if weight[0] is None else torch.cat(weight)
    if net.ranks_.size > 1:
        outputs, target, weight = gather_outputs(net, (outputs, target, weight))
    net.validated_ = []
    score = spec.head.score(outputs, target, weight)
    net.history.record(spec.head.score_column, score)
    if spec.scoring == "loss":
        weight = _with_class_weight(spec, target, weight)
        loss = net.reported(net.get_loss(outputs, (target, weight)))
        net.history.record(spec.score_column, -loss.item())
    elif spec.scoring is not None:
        net.history.record(spec.score_column, _score_by_user(net, valid))


def _with_class_weight(spec, target, weight):
    """Multiply sample weights by class weights, as training does."""
    if spec.class_weight is None:
        return weight
    classes = target.long().view(len(target))
    by_class = torch.tensor(spec.class_weight, dtype=spec.torch_dtype)
    by_class = by_class.to(target.device)[classes]
    return by_class if weight is None else weight * by_class


def _score_by_user(net, valid):
    """Return the score that the user's scorer gives the net."""
    weight = None if valid.weight is None else valid.weight.numpy()
    X = valid.X.numpy() if isinstance(valid.X, torch.Tensor) else valid.X
    X = X if valid.rows is None else X[valid.rows]
    score = net.scorer_(net, X, valid.y, weight)
    if not isinstance(score, Real):
        raise ValueError(
            f"scoring={net.spec.scoring!r} returned {score!r}, which is no number. Use "
            "a scorer's name, or a callable scorer(estimator, X, y) that returns one."
        )
    return float(score)
