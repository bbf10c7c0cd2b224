"""
A convolutional net of your own
===============================

You learn to bring the method to any skorch net, with the callback ``HessianReinit``. It
keeps the best network of each cycle, re-initialises where the validation loss comes to
a plateau, and averages what it has kept.

A small convolutional net learns scikit-learn's digits, a third of whose training labels
are wrong. Left to itself it learns these by heart.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_hessreg import HessianReinit, SnapshotAveragingMixin, hessian_scores

X, y = load_digits(return_X_y=True)
X = (X / 16).astype("float32").reshape(-1, 1, 8, 8)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
rng = np.random.default_rng(0)
wrong = rng.random(len(y_train)) < 1 / 3
y_train[wrong] = (y_train[wrong] + rng.integers(1, 10, wrong.sum())) % 10


class AveragingClassifier(SnapshotAveragingMixin, NeuralNetClassifier):
    """A net that predicts with the mean of its snapshots."""


def make_module():
    """Two convolutions with batch norm, and a dense layer."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(256, 10),
    )


def fit(k, n_snapshots):
    """Train it with the callback."""
    torch.manual_seed(0)
    reinit = HessianReinit(
        k=k,
        n=3,
        curvature="mean_loss",  # for convolutions far cheaper than "per_sample"
        n_snapshots=n_snapshots,
        hessian_samples=128,
        n_iter_no_change=4,
        load_best=True,
        random_state=0,
    )
    return AveragingClassifier(
        make_module,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=0.003,
        max_epochs=60,
        batch_size=32,
        callbacks=[("hessian", reinit)],
        verbose=0,
    ).fit(X_train, y_train)


# %%
# With ``k=0`` nothing is kept and nothing ends the training. A single snapshot is early
# stopping: training ends at the first plateau, with the best network before it.

plain, stopped, net = fit(0, 1), fit(30, 1), fit(30, 5)
print(f"plain, {len(plain.history)} epochs: {plain.score(X_test, y_test):.3f}")
print(f"stopped, {len(stopped.history)} epochs: {stopped.score(X_test, y_test):.3f}")

# %%
# ``snapshots_`` holds the networks. By the mixin the net predicts with the mean of all
# of them; its module has the last one's weights.

method = dict(net.callbacks_)["hessian"]
logits = net.forward(X_test)
print(f"in cycles, {len(net.history)} epochs, {len(method.snapshots_)} networks:")
print(f"  the last of them: {accuracy_score(y_test, logits.argmax(1)):.3f}")
print(f"  their average: {net.score(X_test, y_test):.3f}")

# %%
# Each cycle begins with a re-initialisation, from which the validation loss recovers.

fig, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
for one, label, style in ((plain, "plain", "k--"), (net, "in cycles", "C0-")):
    losses = one.history[:, "valid_loss"]
    ax.plot(range(1, len(losses) + 1), losses, style, label=label)
for i, snapshot in enumerate(method.snapshots_):
    label = "end of a cycle" if i == 0 else None
    ax.axvline(snapshot.epoch, color="0.6", linestyle=":", zorder=0, label=label)
ax.set(xlabel="epoch", ylabel="validation loss", title="Cycles end at plateaus")
ax.legend()
plt.show()

# %%
# How many weights were re-initialised, and in what time.

records = method.reinit_history_
for layer in ("0", "4", "7"):
    events = [record for record in records if record["layer"] == layer]
    seconds = sum(record["seconds"] for record in events) / len(events)
    print(
        f"layer {layer}: {len(events)} events of {events[0]['count']} weights, "
        f"{seconds:.2f} s each for all layers"
    )

# %%
# The scores themselves are a function of module, loss and data. They know the formula
# that scored each layer, with the reason. All formulas are exact.

scores = hessian_scores(
    net.module_,
    nn.functional.cross_entropy,
    torch.tensor(X_train),
    torch.tensor(y_train),
    n=3,
)
for layer, formula in scores.formulas.items():
    print(f"layer {layer}: {formula}")

# %%
# The second convolution, its 3 x 3 kernels from 8 channels side by side: one row for
# each of its 16 output channels.

fig, ax = plt.subplots(figsize=(7, 3), layout="constrained")
image = ax.imshow(scores["4"].flatten(1).numpy(), aspect="auto", cmap="cividis")
ax.set(
    xlabel="weight: input channel, row, column",
    ylabel="output channel",
    title="Scores of the second convolution",
)
fig.colorbar(image, label="score")
plt.show()
