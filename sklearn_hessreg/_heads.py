"""What the outputs of a network mean: their loss, target, link, decision and score."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch.nn import functional as F

# by way of numpy, which knows no default device
_SIGNS = torch.from_numpy(np.array([-1, 1], "f4"))


@dataclass(frozen=True)
class Softmax:
    """A logit for each class, of which a sample has one."""

    out_activation: ClassVar[str] = "softmax"  # in MLPClassifier's words
    criterion: ClassVar[type] = torch.nn.CrossEntropyLoss
    score_name: ClassVar[str] = "accuracy"

    def target(self, y, dtype):
        """Turn indices of classes into what the criterion expects."""
        return torch.from_numpy(y)

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

    def right(self, logits, target):
        """Tell which samples are classified rightly; accuracy is their share."""
        return self.decide(logits) == target


@dataclass(frozen=True)
class Logistic:
    """One logit, of the second of two classes; or one for each of several labels."""

    out_activation: ClassVar[str] = "logistic"
    criterion: ClassVar[type] = torch.nn.BCEWithLogitsLoss
    score_name: ClassVar[str] = "accuracy"
    n_labels: int = 1

    def target(self, y, dtype):
        """Turn indices of classes, or an indicator matrix, into a matrix of floats."""
        return torch.from_numpy(y).to(dtype).view(len(y), -1)

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

    def right(self, logits, target):
        """Tell for which samples all labels are right; accuracy is their share."""
        return ((logits > 0) == target).all(1)


def _both_classes(logits):
    """Put the logit of the first class before that of the second; labels stay."""
    return logits * _SIGNS if logits.shape[1] == 1 else logits
