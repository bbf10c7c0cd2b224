"""
Accelerate: one skorch net on several processes
===============================================

You learn to train one skorch net on several processes with the callback.

skorch's ``AccelerateMixin`` lets Hugging Face's Accelerate place a net on its devices,
share each batch out over the processes and average their gradients. The callback works
with it as it is. torchrun starts the processes, on a machine without a GPU too::

    torchrun --nproc_per_node 2 skorch_accelerate.py

``accelerate launch --cpu`` starts a single one and says nothing of it, whatever
``--num_processes`` says; so the script looks how many there are.
"""

# sphinx_gallery_thumbnail_path = 'figures/cycle.png'
import torch
from accelerate import Accelerator
from sklearn.datasets import load_digits
from skorch import NeuralNetClassifier
from skorch.hf import AccelerateMixin
from torch import nn
from torch.nn import functional as F

from sklearn_hessreg import HessianReinit

# %%
# Accelerate wraps every ``torch.nn.Module`` that the net prepares in
# ``DistributedDataParallel``, the criterion among them, and that fails where there is
# no parameter to train: "DistributedDataParallel is not needed when a module doesn't
# have any parameter that requires a gradient". A criterion that is no module is left
# alone.


class CrossEntropy:
    """The mean cross-entropy of logits."""

    def __call__(self, logits, targets):
        """Return the loss as a scalar tensor."""
        return F.cross_entropy(logits, targets)


class AcceleratedNet(AccelerateMixin, NeuralNetClassifier):
    """A classifier that Accelerate trains."""


# %%
# Every process loads all samples, and Accelerate gives each its part of the batches:
# ``rows="replicated"``, the callback's default. All begin with the same weights.

X, y = load_digits(return_X_y=True)
X = (X / 16).astype("float32")
accelerator = Accelerator(cpu=True)
torch.manual_seed(0)
net = AcceleratedNet(
    nn.Sequential(nn.Linear(64, 50), nn.BatchNorm1d(50), nn.ReLU(), nn.Linear(50, 10)),
    criterion=CrossEntropy,
    accelerator=accelerator,
    max_epochs=6,
    lr=0.1,
    callbacks=[("hessian", HessianReinit(k=10, n=2, reinit_every=2))],
    verbose=int(accelerator.is_main_process),
).fit(X, y)

# %%
# All processes have re-initialised the same weights and hold the same network.

accelerator.print(f"{accelerator.num_processes} processes")
for record in dict(net.callbacks_)["hessian"].reinit_history_:
    accelerator.print(record["epoch"], record["layer"], record["count"])
sums = accelerator.gather(sum(p.detach().sum() for p in net.module_.parameters())[None])
accelerator.print("sums of the weights:", sums.tolist())
accelerator.free_memory()
accelerator.end_training()
