"""
The callback on a skorch net of one's own
=========================================

``HessianReinit`` brings the method to any skorch net. Here a small convolutional net on
scikit-learn's digits, all of its layers regularised: the dense layer from its inputs
and the curvature of its outputs, the convolutions from the Jacobian of the outputs,
since everything behind them is piecewise linear.
"""

import logging

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


torch.manual_seed(0)
net = NeuralNetClassifier(
    make_module,
    criterion=nn.CrossEntropyLoss,
    optimizer=torch.optim.Adam,
    lr=0.003,
    max_epochs=15,
    batch_size=32,
    callbacks=[
        ("hessian", HessianReinit(k=3, n=3, hessian_samples=128, random_state=0))
    ],
    verbose=0,
).fit(X_train, y_train)
print(f"test accuracy {net.score(X_test, y_test):.3f}")

records = dict(net.callbacks_)["hessian"].reinit_history_
for layer in ("0", "4", "7"):
    events = [record for record in records if record["layer"] == layer]
    seconds = sum(record["seconds"] for record in events) / len(events)
    print(
        f"layer {layer}: {len(events)} events of {events[0]['count']} weights, "
        f"{seconds:.2f} s each for all layers"
    )

# %%
# The scores themselves are a function of module, loss and data. At level DEBUG the
# logger names the formula that scored a layer, with the reason. All formulas are exact.

logging.basicConfig(format="%(message)s")
logging.getLogger("sklearn_hessreg").setLevel(logging.DEBUG)
scores = hessian_scores(
    net.module_,
    nn.functional.cross_entropy,
    torch.tensor(X_train),
    torch.tensor(y_train),
    n=3,
)
logging.getLogger("sklearn_hessreg").setLevel(logging.NOTSET)

# %%
# The second convolution, its 3 x 3 kernels from 8 channels side by side: one row for
# each of its 16 output channels.

fig, ax = plt.subplots(figsize=(7, 3), layout="constrained")
image = ax.imshow(scores["4"].flatten(1).numpy(), aspect="auto", cmap="cividis")
ax.set(xlabel="weight: input channel, row, column", ylabel="output channel")
fig.colorbar(image, label="score")
plt.show()
