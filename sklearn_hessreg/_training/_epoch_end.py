"""The end of an epoch: record it, then end the cycle or the training if it is over."""

import math
from dataclasses import replace
from numbers import Real

import torch
from skorch.callbacks import Callback

from sklearn_hessreg._reinit import (
    HessianReinit,
    read_monitor,
    take_weights,
    write_weights,
)
from sklearn_hessreg._training._sharded import gather_outputs


class Curves(Callback):
    """Record what MLPClassifier records: `loss_curve_`, `validation_scores_` and so on.

    These are not looked up in the net's history, because other callbacks may remove
    rows from it.
    """

    def initialize(self):
        """Forget all epochs."""
        self.t_ = 0
        self.n_iter_ = 0
        self.loss_curve_ = []
        self.validation_scores_ = []
        self.watched_ = None
        return self

    def begin_training(self, spec):
        """Count epochs from here; begin the scores anew if they are other ones."""
        self.n_iter_ = 0
        if self.watched_ not in (None, spec.watched):
            self.validation_scores_ = []
        self.watched_ = spec.watched

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Record the epoch."""
        self.t_ += len(dataset_train)
        self.n_iter_ += 1
        self.loss_curve_.append(float(net.history[-1, "train_loss"]))
        if dataset_valid is not None:
            record_scores(net, dataset_valid)  # a scorer may look at this epoch's loss
            self._note_score(net)

    def _note_score(self, net):
        """Record the validation score, and whether it is the best score so far."""
        column, scores = net.spec.score_column, self.validation_scores_
        score = net.history[-1, column]
        best = max(filter(math.isfinite, scores), default=-math.inf)
        # the name that skorch's callbacks look for
        net.history.record(f"{column}_best", math.isfinite(score) and score > best)
        scores.append(score)


class ReinitOrStop(HessianReinit):
    """HessianReinit for an MLPNet, which also stops where MLPClassifier does.

    A plateau ends a cycle or, with `k=0` or after `reinit_until`, the training. An
    "adaptive" learning rate is divided by 5 first. The rules are MLPClassifier's:
    skorch's EarlyStopping compares with the last improvement instead of the best epoch,
    so it stops at other epochs. Training ends by the net's `stop_training_`, so later
    callbacks see the end of the last epoch.
    """

    def initialize(self):
        """Forget all cycles."""
        super().initialize()
        self.watched_ = None
        return self

    def begin_training(self, net):
        """Begin a new cycle; `partial_fit`, and any call with `k=0`, goes on with one.

        The previous call's weights are then the best until an epoch beats them.
        """
        spec, cycles = net.spec, self.cycles_
        if self.watched_ not in (None, spec.watched):
            cycles = cycles.without_scores()
        self.watched_ = spec.watched
        if self.k == 0:
            cycles = cycles.without_snapshots()
        elif not spec.keep_optimizer:
            cycles = cycles.forget()
        if self.load_best and cycles.plateau.best is not None:
            cycles = cycles.with_best(take_weights(net.module_))
        self.cycles_ = cycles

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """End the cycle or the training if it is over, and set the learning rate."""
        spec = net.spec
        if _schedule(spec) == "invscaling":
            t = dict(net.callbacks_)["curves"].t_
            _set_learning_rate(net.optimizer_, net.lr / (t + 1) ** spec.power_t)
        if not self._end_epoch(net):
            if self._has_plateaued(net):
                self._stop(net)
            return
        if _schedule(spec) == "adaptive":  # by now too small for new weights
            _set_learning_rate(net.optimizer_, spec.learning_rate_init)
        net.stop_training_ |= self.is_complete
        if net.split_ is not None and not self.is_complete:
            net.split_.rotate()

    def end_here(self, net):
        """Make the net what it is if training ends now."""
        self._cut_off_cycle(net)

    def on_train_end(self, net, X=None, y=None, **kwargs):
        """Restore the last kept network; with `k=0`, the best one."""
        super().on_train_end(net)
        if not self.cycles_.kept:
            self._check_best(net)

    @property
    def _watches(self):
        """Whether the epochs are compared with each other, which `k=0` needs too."""
        return True

    def _read_score(self, net):
        """Return the monitored value, which is the same on all ranks."""
        return read_monitor(self, net.history[-1])

    def _has_plateaued(self, net):
        """Return whether a plateau is reached; L-BFGS decides that itself."""
        if net.spec.solver == "lbfgs":
            return net.optimizer_.has_ended
        return super()._has_plateaued(net) and not self._slows_down(net)

    def _is_cycle_over(self, net):
        """Return whether the epoch ends the cycle, and not where L-BFGS broke off."""
        return super()._is_cycle_over(net) and not _has_failed(net)

    def _cut_off_cycle(self, net):
        """Cut off the cycle; with `k=0` there is only one, whose best is restored."""
        cycles = self.cycles_
        if _has_failed(net):
            cycles = replace(cycles, score=None)
        if self.k > 0:
            self.cycles_ = cycles
            super()._cut_off_cycle(net)
            return
        if cycles.best is not None:
            write_weights(net.module_, cycles.best)
        self.cycles_ = replace(cycles, score=cycles.final_score, best=None)

    def _check_best(self, net):
        """Refuse a cycle without a finite score: it has no best epoch."""
        spec, plateau = net.spec, self.cycles_.plateau
        if spec.early_stopping and plateau.best is None and plateau.misses:
            raise ValueError(
                f"The validation score ({spec.score_name}) was never finite in "
                f"the last {plateau.misses} epochs (now {self.cycles_.score}), so "
                "early stopping has no best network to keep. Use another scoring, "
                "check the validation data for extreme values and missing classes, or "
                "set early_stopping=False."
            )

    def _slows_down(self, net):
        """Divide an adaptive learning rate by 5, unless it is already small."""
        learning_rate = net.optimizer_.param_groups[0]["lr"]
        if _schedule(net.spec) != "adaptive" or learning_rate <= 1e-6:
            return False
        plateau = replace(self.cycles_.plateau, misses=0)
        self.cycles_ = replace(self.cycles_, plateau=plateau)
        _set_learning_rate(net.optimizer_, learning_rate / 5)
        return True

    def _stop(self, net):
        """End the training before the next epoch."""
        self._check_best(net)
        net.stop_training_ = True
        if net.verbose and net.spec.solver == "lbfgs":
            print(f"{net.optimizer_.outcome.message}. Stopping.")
        elif net.verbose:
            what = "Validation score" if self.load_best else "Training loss"
            print(
                f"{what} did not improve by {self.tol:g} for more than "
                f"{self.n_iter_no_change} epochs. Stopping."
            )


def _has_failed(net):
    """Return whether the weights are where L-BFGS broke off."""
    return net.spec.solver == "lbfgs" and net.optimizer_.has_failed


def _schedule(spec):
    """Return the learning rate schedule; only SGD has one."""
    return spec.learning_rate if spec.solver == "sgd" else "constant"


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
