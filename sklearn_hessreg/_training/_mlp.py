"""MLP: the multi-layer perceptron as a torch module, and sparse rows as its input."""

from itertools import pairwise

import numpy as np
import torch
from scipy.sparse import issparse
from torch import nn
from torch.nn import functional as F

# Share of nonzeros from which dense products are faster (200 rows, 1,000 features, 100
# units, forward and backward: 0.4 of the dense time at .02, 0.7 at .1, 1.4 at .3).
DENSE = 0.1
ACTIVATIONS = {
    "identity": torch.positive,
    "logistic": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "selu": torch.selu,
    "gelu": F.gelu,
    "silu": F.silu,
    "mish": F.mish,
}
# for results that nobody else holds: a second array of a megabyte may cost more time
# than the product before it
_IN_PLACE = {
    torch.sigmoid: torch.sigmoid_,
    torch.tanh: torch.tanh_,
    torch.relu: torch.relu_,
    torch.selu: torch.selu_,
}
_SHAPED_LIKE_RELU = ("elu", "gelu", "silu", "mish")
# torch's factors on Glorot's bound; it has none for these four, which take ReLU's
_GAINS = {
    "leaky_relu": nn.init.calculate_gain("leaky_relu"),
    "selu": nn.init.calculate_gain("selu"),
    **dict.fromkeys(_SHAPED_LIKE_RELU, nn.init.calculate_gain("relu")),
}
# MLPClassifier has 2 where Glorot has 6, and no gain for ReLU
_FACTORS = {"logistic": 2.0, **{name: 6 * gain**2 for name, gain in _GAINS.items()}}


class SparseRows:
    """A batch of rows as a CSR matrix on the CPU, in place of a tensor."""

    def __init__(self, csr):
        self.csr = csr
        self.shape = csr.shape

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        return SparseRows(self.csr[rows])


def stays_sparse(X, device):
    """Return whether X is a CSR matrix so sparse that sparse products are faster."""
    if not issparse(X) or device != "cpu":
        return False
    return X.nnz < DENSE * X.shape[0] * X.shape[1]


def count_largest_product(layer_units, sparse, rows):
    """Count the operations of torch's largest matrix product in a batch."""
    products = [fan_in * out for fan_in, out in pairwise(layer_units)]
    if sparse:
        del products[0]  # scipy computes it, in one thread
    return 2 * rows * max(products, default=0)


def product(rows, W):
    """Return W h for sparse rows h."""
    return _Product.apply(W, rows.csr)


class _Product(torch.autograd.Function):
    """W h for sparse h, and its derivative by W."""

    @staticmethod
    def forward(ctx, W, csr):
        ctx.csr = csr
        return torch.from_numpy(csr @ W.detach().numpy().T)

    @staticmethod
    def backward(ctx, g):
        return torch.from_numpy(ctx.csr.T @ g.numpy()).T, None


class Linear(nn.Linear):
    """torch's linear layer, with weights drawn elsewhere."""

    def reset_parameters(self):
        """Draw nothing, because torch's generator belongs to the whole process."""


class Dropout(nn.Module):
    """torch's dropout with a generator of its own, on the device of the input."""

    def __init__(self, p, generator):
        super().__init__()
        self.p = p
        self.generator = generator

    def forward(self, X):
        """Zero elements with probability p and divide the others by 1 - p."""
        if not self.training or self.p == 0:
            return X
        kept = torch.empty_like(X).bernoulli_(1 - self.p, generator=self.generator)
        return X * kept.div_(1 - self.p)


class MLP(nn.Module):
    """Fully connected layers; `init_glorot_uniform` draws their weights."""

    def __init__(
        self, layer_units, activation="relu", dropout=0.0, dtype=None, device="cpu"
    ):
        super().__init__()
        self.layers = nn.ModuleList(
            Linear(fan_in, fan_out, dtype=dtype, device="cpu")
            for fan_in, fan_out in pairwise(layer_units)
        )
        self.activation = ACTIVATIONS[activation]
        self.dropout = Dropout(dropout, torch.Generator(device))

    def forward(self, X):
        """Map rows, a tensor or on the CPU SparseRows, to logits."""
        first, *others = self.layers
        if isinstance(X, torch.Tensor):
            X = first(X)
        else:
            X = product(X, first.weight) + first.bias
        for layer in others:
            X = self.activation(X)
            X = self.dropout(X) if self.dropout.p else X
            X = layer(X)
        return X


@torch.no_grad()
def init_glorot_uniform(module, activation, random_state):
    """Draw what MLPClassifier draws from the same RandomState, or its analogue."""
    factor = _FACTORS.get(activation, 6.0)
    for layer in module.layers:
        bound = (factor / (layer.in_features + layer.out_features)) ** 0.5
        shape = (layer.in_features, layer.out_features)
        weight = random_state.uniform(-bound, bound, shape)
        bias = random_state.uniform(-bound, bound, layer.out_features)
        layer.weight.copy_(torch.from_numpy(weight).T)
        layer.bias.copy_(torch.from_numpy(bias))


class StackedMLP:
    """Networks of one shape in one pass: a batch to outputs (networks, rows, outputs).

    On dense rows the first layer is one product for all networks; others are batched.
    """

    def __init__(self, snapshots, module, device):
        self.activation = _IN_PLACE.get(module.activation, module.activation)
        self.n_networks = len(snapshots)
        self.layers = []
        for i in range(len(module.layers)):
            W, b = (
                np.stack([s["weights"][f"layers.{i}.{part}"] for s in snapshots])
                for part in ("weight", "bias")
            )
            self.layers.append([torch.from_numpy(x).to(device) for x in (W, b)])

    def __call__(self, X):
        (W, b), *others = self.layers
        if isinstance(X, SparseRows):
            # one by one, because rows of all their weights together do not fit in cache
            z = torch.stack([product(X, w) for w in W]).add_(b[:, None])
        else:
            z = F.linear(X.to(W.device), W.flatten(0, 1), b.flatten())
            z = z.view(len(X), *b.shape).transpose(0, 1)
        for W, b in others:
            z = torch.baddbmm(b[:, None], self.activation(z), W.mT)
        return z
