"""
The callback on a skorch net of one's own
=========================================

``HessianReinit`` brings the method to any skorch net whose last weight layers are
linear. Here a convolutional net on scikit-learn's digits, its two dense layers
regularised; the convolutions in front of them are left alone.
"""

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_hessreg import HessianReinit, hessian_scores

X, y = load_digits(return_X_y=True)
X = (X / 16).astype("float32").reshape(-1, 1, 8, 8)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)


def make_module():
    """Two convolutions and two dense layers, with a smooth activation."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(144, 32),
        nn.GELU(),
        nn.Linear(32, 10),
    )


torch.manual_seed(0)
net = NeuralNetClassifier(
    make_module,
    criterion=nn.CrossEntropyLoss,
    optimizer=torch.optim.Adam,
    lr=0.003,
    max_epochs=15,
    batch_size=32,
    callbacks=[("hessian", HessianReinit(k=3, n=2, samples=64, random_state=0))],
    verbose=0,
).fit(X_train, y_train)
print(f"test accuracy {net.score(X_test, y_test):.3f}")

records = dict(net.callbacks_)["hessian"].reinit_history_
for layer in ("5", "7"):
    events = [record for record in records if record["layer"] == layer]
    seconds = sum(record["seconds"] for record in events) / len(events)
    print(
        f"layer {layer}: {len(events)} events of {events[0]['count']} weights, "
        f"{seconds:.2f} s each for both layers"
    )

# %%
# The scores themselves are a function of module, loss and data: the exact absolute row
# sums of the layer's Hessian, here of the output layer. Nothing is estimated.

scores = hessian_scores(
    net.module_,
    nn.functional.cross_entropy,
    torch.tensor(X_train),
    torch.tensor(y_train),
)
fig, ax = plt.subplots(figsize=(7, 3), layout="constrained")
image = ax.imshow(scores["7"], aspect="auto", cmap="cividis")
ax.set(xlabel="input of the output layer", ylabel="class", yticks=range(10))
fig.colorbar(image, label="score")
plt.show()
