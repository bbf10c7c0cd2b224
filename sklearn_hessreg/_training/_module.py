"""MLP: the multi-layer perceptron as a torch module that returns logits."""

from itertools import pairwise

import torch
from torch import nn

ACTIVATIONS = {
    "identity": torch.positive,
    "logistic": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
}


class MLP(nn.Module):
    """Fully connected layers of `layer_units` units, from the inputs to the logits."""

    def __init__(self, layer_units, activation="relu", dropout=0.0, dtype=None):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Linear(fan_in, fan_out, dtype=dtype)
            for fan_in, fan_out in pairwise(layer_units)
        )
        self.activation = ACTIVATIONS[activation]
        self.dropout = nn.Dropout(dropout)

    def forward(self, X):
        """Map (n_samples, n_features) to logits of shape (n_samples, n_outputs)."""
        *hidden, output = self.layers
        for layer in hidden:
            X = self.activation(layer(X))
            X = self.dropout(X) if self.dropout.p else X
        return output(X)


@torch.no_grad()
def init_glorot_uniform(module, activation, random_state):
    """Draw what MLPClassifier draws from the same RandomState."""
    factor = 2.0 if activation == "logistic" else 6.0
    for layer in module.layers:
        bound = (factor / (layer.in_features + layer.out_features)) ** 0.5
        shape = (layer.in_features, layer.out_features)
        weight = random_state.uniform(-bound, bound, shape)
        bias = random_state.uniform(-bound, bound, layer.out_features)
        layer.weight.copy_(torch.from_numpy(weight).T)
        layer.bias.copy_(torch.from_numpy(bias))
