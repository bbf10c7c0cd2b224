"""Losses that torch lacks or scales differently, as torch criteria."""

import torch
from torch.nn import functional as F


class GeneralizedCrossEntropy(torch.nn.Module):
    """(1 - p^q) / q, where p is the probability of the given label.

    As q goes to 0 it becomes cross-entropy; for q = 1 it is 1 - p. From Z. Zhang and
    M. Sabuncu, "Generalized Cross Entropy Loss for Training Deep Neural Networks with
    Noisy Labels", NeurIPS 2018, arXiv:1805.07836.
    """

    def __init__(self, q=0.5, reduction="mean"):
        super().__init__()
        self.q = q
        self.reduction = reduction

    def forward(self, logits, target):
        """Return the losses of the classes in `target`, or their mean."""
        return self.of_log_probabilities(logits.log_softmax(1), target)

    def of_log_probabilities(self, log_p, target):
        """Return the losses, or their mean, from log p of all classes."""
        return self._reduce(log_p.gather(1, target[:, None]).squeeze(1))

    def _reduce(self, log_p):
        """Turn log p into losses, or their mean."""
        losses = -torch.expm1(self.q * log_p) / self.q
        return losses.mean() if self.reduction == "mean" else losses


class BinaryGeneralizedCrossEntropy(GeneralizedCrossEntropy):
    """The same with one logit per label, for targets of zeros and ones."""

    def forward(self, logits, target):
        """Return the losses, or their mean."""
        return self._reduce(log_probability_of(target, logits))


def log_probability_of(target, logits):
    """Return log p of the given zeros and ones, treating the logits as independent."""
    return F.logsigmoid((2 * target - 1) * logits)


class HalfSquaredError(torch.nn.MSELoss):
    """(z - y)^2 / 2, as in MLPRegressor."""

    def forward(self, input, target):
        """Return half the squared errors, or half their mean."""
        return super().forward(input, target) / 2


class HalfPoissonDeviance(torch.nn.PoissonNLLLoss):
    """exp(z) - y z + y log(y) - y, as in MLPRegressor; z is the log of the mean."""

    def forward(self, log_input, target):
        """Return half the deviances, or half their mean."""
        least = torch.xlogy(target, target) - target
        least = least.mean() if self.reduction == "mean" else least
        return super().forward(log_input, target) + least
