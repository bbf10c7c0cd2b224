"""Watch: accuracy and loss on several data sets after each epoch, by the clock."""

from time import process_time

import torch
from skorch.callbacks import Callback
from torch.nn import functional as F


class Watch(Callback):
    """Evaluate a net on arrays at each end of epoch, and count its training time.

    ``data`` maps names to (X, y) with labels 0..C-1. ``rows_`` gets a dict for each
    epoch: ``epoch``, ``seconds`` of CPU spent so far without the evaluation, and
    ``<name>_loss`` and ``<name>_accuracy`` in evaluation mode. With ``after`` the row
    also tells what the re-initialisation right after that epoch made of them:
    ``<name>_loss_after`` and ``<name>_accuracy_after``.
    """

    def __init__(self, data, after=False):
        self.data = data
        self.after = after

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Start the clock."""
        self.rows_ = []
        self.seconds_ = 0.0
        self.started_ = process_time()

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Evaluate what the callbacks before this one have re-initialised."""
        if self.after and self.rows_:
            self._stop_clock()
            found = self._evaluate(net.module_)
            self.rows_[-1] |= {f"{name}_after": value for name, value in found.items()}
            self.started_ = process_time()

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Evaluate the trained weights."""
        self._stop_clock()
        row = {"epoch": net.history[-1, "epoch"], "seconds": self.seconds_}
        self.rows_.append(row | self._evaluate(net.module_))
        self.started_ = process_time()

    def _stop_clock(self):
        """Add the time since the clock was started."""
        self.seconds_ += process_time() - self.started_

    def _evaluate(self, module):
        """Compute mean cross-entropy and accuracy on all data."""
        found = {}
        module.eval()  # the net switches back by itself
        with torch.inference_mode():
            for name, (X, y) in self.data.items():
                logits, target = module(torch.from_numpy(X)), torch.from_numpy(y)
                if logits.shape[1] == 1:  # of two classes, the first one's logit is 0
                    logits = F.pad(logits, (1, 0))
                found[f"{name}_loss"] = F.cross_entropy(logits, target).item()
                right = logits.argmax(1) == target
                found[f"{name}_accuracy"] = right.double().mean().item()
        return found
