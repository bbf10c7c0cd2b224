"""Which layers have a weight matrix."""

from torch import nn

from sklearn_hessreg._hessian import weight_layers


def test_layer_norm_with_a_matrix_of_gains_is_no_weight_layer():
    net = nn.Sequential(nn.Unflatten(1, (2, 2)), nn.LayerNorm((2, 2)), nn.Flatten())
    assert weight_layers(net) == []
