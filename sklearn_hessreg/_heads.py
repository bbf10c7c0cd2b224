"""What the outputs of a network mean: their loss, target, link, decision and score."""

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

# by way of numpy, which knows no default device
_SIGNS = torch.from_numpy(np.array([-1, 1], "f4"))


class Head:
    """Default behaviour of a head."""

    score_name: ClassVar[str] = "accuracy"
    score_column: ClassVar[str] = "valid_acc"  # of the history
    # what helps where training overflows
    to_scale: ClassVar[str] = "features, for instance with StandardScaler"

    def prepare(self, outputs):
        """Return that from which both the loss and its derivative are computed."""
        return outputs

    def loss_of_prepared(self, criterion, outputs, target):
        """Return what the criterion says, from what `prepare` returns."""
        return criterion(outputs, target)

    def reported_share(self, n_outputs):
        """Return what scikit-learn's loss_curve_ has of J, the loss that is trained."""
        return 1.0

    def largest_output(self, dtype):
        """Return the largest output whose prediction is finite."""
        return torch.finfo(dtype).max


@dataclass(frozen=True)
class Softmax(Head):
    """A logit for each class, of which a sample has one."""

    out_activation: ClassVar[str] = "softmax"  # in MLPClassifier's words
    criterion: ClassVar[type] = torch.nn.CrossEntropyLoss

    def target(self, y, dtype):
        """Turn indices of classes into what the criterion expects."""
        return torch.from_numpy(y)

    def prepare(self, logits):
        """Return log p, the costly half of the loss and of its derivative."""
        return self.log_probabilities(logits)

    def loss_of_prepared(self, criterion, log_p, target):
        """Return the cross-entropy."""
        return F.nll_loss(log_p, target, reduction=criterion.reduction)

    def derivative(self, log_p, target, weight):
        """Return the loss's by the logits; the loss is the mean, or that by weight."""
        D = torch.zeros_like(log_p).scatter_(1, target[:, None], -1)
        D = _of_mean(D, weight)
        return torch.ops.aten._log_softmax_backward_data(D, log_p, 1, log_p.dtype)

    def probabilities(self, logits):
        """Return the probability of each class."""
        # along the columns of few classes torch's softmax takes 5 to 8 times as long
        return logits.t().contiguous().softmax(0).t()

    def log_probabilities(self, logits):
        """Return their logarithms, from the logits themselves."""
        return logits.log_softmax(1)

    def decide(self, logits):
        """Return the indices of the likeliest classes."""
        return logits.argmax(1)

    def decide_by(self, proba):
        """Return the indices of the classes of highest probability."""
        return proba.argmax(1)

    def score(self, logits, target, weight):
        """Return the accuracy: the share of the samples classified rightly."""
        return _weighted_accuracy(self.decide(logits) == target, weight)


@dataclass(frozen=True)
class RobustSoftmax(Softmax):
    """Softmax under the generalised cross-entropy, (1 - p^q) / q."""

    q: float = 0.5

    @property
    def criterion(self):
        """The class of the loss."""
        return partial(GeneralizedCrossEntropy, q=self.q)

    def loss_of_prepared(self, criterion, log_p, target):
        """Return the loss."""
        return criterion.of_log_probabilities(log_p, target)

    def derivative(self, log_p, target, weight):
        """Return the loss's by the logits: p^q times that of cross-entropy."""
        given = target[:, None]
        D = (log_p.gather(1, given) * self.q).exp_().neg_()
        D = _of_mean(torch.zeros_like(log_p).scatter_(1, given, D), weight)
        return torch.ops.aten._log_softmax_backward_data(D, log_p, 1, log_p.dtype)


@dataclass(frozen=True)
class Logistic(Head):
    """One logit, of the second of two classes; or one for each of several labels."""

    out_activation: ClassVar[str] = "logistic"
    criterion: ClassVar[type] = torch.nn.BCEWithLogitsLoss
    n_labels: int = 1

    def target(self, y, dtype):
        """Turn indices of classes, or an indicator matrix, into a matrix of floats."""
        return _matrix(y, dtype)

    def derivative(self, logits, target, weight):
        """Return the loss's by the logits; the loss is the mean, or that by weight."""
        D = logits.sigmoid().sub_(target)
        if D.shape[1] > 1 and weight is None:
            return D.mul_(D.shape[1]).div_(D.numel())  # autograd's rounding
        return _of_mean(D, weight)

    def probabilities(self, logits):
        """Return the probability of both classes, or of each label."""
        return _both_classes(logits).sigmoid()

    def log_probabilities(self, logits):
        """Return their logarithms, from the logits themselves."""
        return F.logsigmoid(_both_classes(logits))

    def decide(self, logits):
        """Return the indices of the likelier classes, or an indicator matrix."""
        return (logits[:, 0] > 0 if logits.shape[1] == 1 else logits > 0).long()

    def decide_by(self, proba):
        """Return the indices of the likelier classes, or an indicator matrix."""
        return proba.argmax(1) if self.n_labels == 1 else (proba > 0.5).long()

    def score(self, logits, target, weight):
        """Return the accuracy: the share of the samples whose labels are all right."""
        return _weighted_accuracy(((logits > 0) == target).all(1), weight)


@dataclass(frozen=True)
class RobustLogistic(Logistic):
    """Logits under the generalised cross-entropy, (1 - p^q) / q of each label."""

    q: float = 0.5

    @property
    def criterion(self):
        """The class of the loss."""
        return partial(BinaryGeneralizedCrossEntropy, q=self.q)

    def derivative(self, logits, target, weight):
        """Return the loss's by the logits: p^q times that of cross-entropy."""
        D = logits.sigmoid().sub_(target)
        D.mul_((log_probability_of(target, logits) * self.q).exp_())
        return _of_mean(D, weight)


class _Numbers(Head):
    """An output for each number that is to be predicted."""

    score_name: ClassVar[str] = "R²"
    score_column: ClassVar[str] = "valid_r2"
    to_scale: ClassVar[str] = (
        "features and the targets, for instance with StandardScaler and "
        "TransformedTargetRegressor"
    )

    def target(self, y, dtype):
        """Turn numbers into a matrix of floats."""
        return _matrix(y, dtype)

    def score(self, outputs, target, weight):
        """Return R², of several numbers the mean; NaN of infinite predictions."""
        predicted = self.predictions(outputs)
        if not torch.isfinite(predicted).all():
            return math.nan
        weight = None if weight is None else weight.cpu().numpy()
        parts = target.cpu().numpy(), predicted.cpu().numpy()
        return float(r2_score(*parts, sample_weight=weight))


@dataclass(frozen=True)
class Identity(_Numbers):
    """The outputs are the numbers; `delta` is that of the Huber loss."""

    out_activation: ClassVar[str] = "identity"  # in MLPRegressor's words
    loss: str = "squared_error"
    delta: float = 1.0

    @property
    def criterion(self):
        """The class of the loss."""
        return {
            "squared_error": HalfSquaredError,
            "absolute_error": torch.nn.L1Loss,
            "huber": partial(torch.nn.HuberLoss, delta=self.delta),
        }[self.loss]

    def reported_share(self, n_outputs):
        """MLPRegressor trains on the sum over the outputs and reports their mean."""
        return 1 / n_outputs

    def derivative(self, outputs, target, weight):
        """Return the loss's by the outputs; the loss is the mean, or that by weight."""
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
        """Return the loss's by the outputs; the loss is the mean, or that by weight."""
        return _of_mean(outputs.exp().sub_(target), weight)

    def predictions(self, outputs):
        """Return the means."""
        return outputs.exp()


def _matrix(y, dtype):
    """Turn numbers into a matrix of floats, a row for each sample."""
    return torch.from_numpy(y).to(dtype).view(len(y), -1)


def _both_classes(logits):
    """Put the logit of the first class before that of the second; labels stay."""
    return logits * _SIGNS if logits.shape[1] == 1 else logits


def _weighted_accuracy(right, weight):
    """Return the weighted accuracy."""
    if weight is None:
        return right.sum().item() / len(right)
    return weight[right].sum().item() / weight.sum().item()


def _of_mean(D, weight):
    """Scale derivatives of samples' losses to those of the mean, or that by weight."""
    if weight is None:
        return D.div_(len(D))
    return D.mul_((weight / weight.sum())[:, None])
