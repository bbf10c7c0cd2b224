"""What a network's outputs mean: their loss, target, link, decision and score."""

import math
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from sklearn.metrics import r2_score
from torch.nn import functional as F

from sklearn_hessreg._losses import (
    BinaryGeneralizedCrossEntropy,
    GeneralizedCrossEntropy,
    HalfPoissonDeviance,
    HalfSquaredError,
    log_probability_of,
)

# via numpy, which ignores torch's default device
_SIGNS = torch.from_numpy(np.array([-1, 1], "f4"))


class Head:
    """Default behaviour of a head."""

    score_name: ClassVar[str] = "accuracy"
    score_column: ClassVar[str] = "valid_acc"  # in the history
    # what to scale if training overflows
    to_scale: ClassVar[str] = "features, for instance with StandardScaler"

    def target(self, y, dtype):
        """Turn numbers, or zeros and ones, into a matrix with one row per sample."""
        return torch.from_numpy(y).to(dtype).view(len(y), -1)

    def prepare(self, outputs):
        """Return what both the loss and its derivative are computed from."""
        return outputs

    def loss_of_prepared(self, criterion, outputs, target):
        """Return the criterion's loss for the result of `prepare`."""
        return criterion(outputs, target)

    def reported_share(self, n_outputs):
        """Return the share of the training loss J that loss_curve_ reports."""
        return 1.0

    def largest_output(self, dtype):
        """Return the largest output whose prediction is finite."""
        return torch.finfo(dtype).max


@dataclass(frozen=True)
class Softmax(Head):
    """One logit per class; each sample has one class."""

    out_activation: ClassVar[str] = "softmax"  # MLPClassifier's name for it
    criterion: ClassVar[type] = torch.nn.CrossEntropyLoss

    def target(self, y, dtype):
        """Turn indices of classes into what the criterion expects."""
        return torch.from_numpy(y)

    def prepare(self, logits):
        """Return log p, the costly half of both the loss and its derivative."""
        return self.log_probabilities(logits)

    def loss_of_prepared(self, criterion, log_p, target):
        """Return the cross-entropy."""
        return F.nll_loss(log_p, target, reduction=criterion.reduction)

    def derivative(self, log_p, target, weight):
        """Return the derivative of the (weighted) mean loss by the logits."""
        D = torch.zeros_like(log_p).scatter_(1, target[:, None], -1)
        D = _of_mean(D, weight)
        return torch.ops.aten._log_softmax_backward_data(D, log_p, 1, log_p.dtype)

    def probabilities(self, logits):
        """Return the probability of each class."""
        # with few classes torch's softmax over dimension 1 takes 5 to 8 times as long
        return logits.t().contiguous().softmax(0).t()

    def log_probabilities(self, logits):
        """Return the log-probabilities, computed from the logits."""
        return logits.log_softmax(1)

    def decide(self, logits):
        """Return the index of the most likely class for each sample."""
        return logits.argmax(1)

    def decide_by(self, proba):
        """Return the index of the most probable class for each sample."""
        return proba.argmax(1)

    def score(self, logits, target, weight):
        """Return the weighted accuracy."""
        return _weighted_accuracy(self.decide(logits) == target, weight)


@dataclass(frozen=True)
class RobustSoftmax(Softmax):
    """Softmax under the generalised cross-entropy, (1 - p^q) / q."""

    q: float = 0.5

    @property
    def criterion(self):
        """The loss class."""
        return partial(GeneralizedCrossEntropy, q=self.q)

    def loss_of_prepared(self, criterion, log_p, target):
        """Return the loss."""
        return criterion.of_log_probabilities(log_p, target)

    def derivative(self, log_p, target, weight):
        """Return the derivative by the logits: p^q times that of cross-entropy."""
        given = target[:, None]
        D = (log_p.gather(1, given) * self.q).exp_().neg_()
        D = _of_mean(torch.zeros_like(log_p).scatter_(1, given, D), weight)
        return torch.ops.aten._log_softmax_backward_data(D, log_p, 1, log_p.dtype)


@dataclass(frozen=True)
class Logistic(Head):
    """One logit for the second of two classes, or one for each of several labels."""

    out_activation: ClassVar[str] = "logistic"
    criterion: ClassVar[type] = torch.nn.BCEWithLogitsLoss
    n_labels: int = 1

    def loss_of_prepared(self, criterion, logits, target):
        """Return the loss, without the call of a module (worth 1.05 of an epoch)."""
        reduction = criterion.reduction
        return F.binary_cross_entropy_with_logits(logits, target, reduction=reduction)

    def derivative(self, logits, target, weight):
        """Return the derivative of the (weighted) mean loss by the logits."""
        D = logits.sigmoid().sub_(target)
        if D.shape[1] > 1 and weight is None:
            return D.mul_(D.shape[1]).div_(D.numel())  # rounds as autograd does
        return _of_mean(D, weight)

    def probabilities(self, logits):
        """Return the probability of both classes, or of each label."""
        return _both_classes(logits).sigmoid()

    def log_probabilities(self, logits):
        """Return the log-probabilities, computed from the logits."""
        return F.logsigmoid(_both_classes(logits))

    def decide(self, logits):
        """Return the index of the more likely class, or an indicator matrix."""
        return (logits[:, 0] > 0 if logits.shape[1] == 1 else logits > 0).long()

    def decide_by(self, proba):
        """Return the index of the more likely class, or an indicator matrix."""
        return proba.argmax(1) if self.n_labels == 1 else (proba > 0.5).long()

    def score(self, logits, target, weight):
        """Return the weighted accuracy; all labels of a sample must be right."""
        return _weighted_accuracy(((logits > 0) == target).all(1), weight)


@dataclass(frozen=True)
class RobustLogistic(Logistic):
    """Logits under the generalised cross-entropy, (1 - p^q) / q for each label."""

    q: float = 0.5

    @property
    def criterion(self):
        """The loss class."""
        return partial(BinaryGeneralizedCrossEntropy, q=self.q)

    def loss_of_prepared(self, criterion, logits, target):
        """Return the loss."""
        return criterion(logits, target)

    def derivative(self, logits, target, weight):
        """Return the derivative by the logits: p^q times that of cross-entropy."""
        D = logits.sigmoid().sub_(target)
        D.mul_((log_probability_of(target, logits) * self.q).exp_())
        return _of_mean(D, weight)


class _Numbers(Head):
    """One output for each number to predict."""

    score_name: ClassVar[str] = "R²"
    score_column: ClassVar[str] = "valid_r2"
    to_scale: ClassVar[str] = (
        "features and the targets, for instance with StandardScaler and "
        "TransformedTargetRegressor"
    )

    def score(self, outputs, target, weight):
        """Return R², averaged over the outputs; NaN if a prediction is not finite."""
        predicted = self.predictions(outputs)
        if not torch.isfinite(predicted).all():
            return math.nan
        weight = None if weight is None else weight.cpu().numpy()
        parts = target.cpu().numpy(), predicted.cpu().numpy()
        return float(r2_score(*parts, sample_weight=weight))


@dataclass(frozen=True)
class Identity(_Numbers):
    """The outputs are the predictions; `delta` belongs to the Huber loss."""

    out_activation: ClassVar[str] = "identity"  # MLPRegressor's name for it
    loss: str = "squared_error"
    delta: float = 1.0

    @property
    def criterion(self):
        """The loss class."""
        return {
            "squared_error": HalfSquaredError,
            "absolute_error": torch.nn.L1Loss,
            "huber": partial(torch.nn.HuberLoss, delta=self.delta),
        }[self.loss]

    def reported_share(self, n_outputs):
        """MLPRegressor trains on the sum over the outputs and reports their mean."""
        return 1 / n_outputs

    def derivative(self, outputs, target, weight):
        """Return the derivative of the (weighted) mean loss by the outputs."""
        D = outputs - target
        if self.loss == "absolute_error":
            D.sign_()
        elif self.loss == "huber":
            D.clamp_(-self.delta, self.delta)
        return _of_mean(D, weight)

    def predictions(self, outputs):
        """Return the outputs."""
        return outputs


@dataclass(frozen=True)
class Exponential(_Numbers):
    """The outputs are the logarithms of the means of Poisson distributions."""

    out_activation: ClassVar[str] = "exp"
    criterion: ClassVar[type] = HalfPoissonDeviance
    loss: ClassVar[str] = "poisson"

    def largest_output(self, dtype):
        """Return the largest output whose exponential is finite."""
        return math.log(torch.finfo(dtype).max)

    def derivative(self, outputs, target, weight):
        """Return the derivative of the (weighted) mean loss by the outputs."""
        return _of_mean(outputs.exp().sub_(target), weight)

    def predictions(self, outputs):
        """Return the means."""
        return outputs.exp()


def _both_classes(logits):
    """Prepend the logit of the first of two classes; leave multilabel logits alone."""
    return logits * _SIGNS if logits.shape[1] == 1 else logits


def _weighted_accuracy(right, weight):
    """Return the weighted accuracy."""
    if weight is None:
        return right.sum().item() / len(right)
    return weight[right].sum().item() / weight.sum().item()


def _of_mean(D, weight):
    """Scale derivatives of per-sample losses to those of the (weighted) mean."""
    if weight is None:
        return D.div_(len(D))
    return D.mul_((weight / weight.sum())[:, None])
