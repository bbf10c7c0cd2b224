"""Scores by definition: the Hessian block is materialised, in float64."""

import copy

import pytest
import torch
from skorch.callbacks import Callback
from torch.func import functional_call, hessian
from torch.nn.attention import SDPBackend, sdpa_kernel

from sklearn_hessreg import hessian_scores


def reference_scores(module, loss, inputs, targets, name, curvature="mean_loss"):
    """Sum |d2 J / dW dW| over the last two dimensions of the block of layer `name`.

    `loss(outputs, targets)` is J. For "per_sample", `loss(outputs, targets, rows)`
    returns the share of J of the given rows; the blocks are added in absolute value.
    """
    weight = module.get_submodule(name).weight
    key = next(key for key, p in module.named_parameters() if p is weight)
    weights = {k: p.detach() for k, p in module.named_parameters()}
    extra = tuple(range(weight.ndim, 2 * weight.ndim))

    def block(share):
        def J(W):
            # the fused attention has no second derivative
            with sdpa_kernel(SDPBackend.MATH):
                return share(functional_call(module, {**weights, key: W}, (inputs,)))

        return hessian(J)(weights[key]).abs()

    if curvature == "mean_loss":
        return block(lambda outputs: loss(outputs, targets)).sum(extra)

    def shares(outputs):
        return torch.stack([loss(outputs, targets, [n]) for n in range(len(inputs))])

    return block(shares).sum(0).sum(extra)


def assert_equal_to_reference(scores, reference, rounding=0.0):
    """Compare to 1e-10, relative to the layer's largest score, or to `rounding`."""
    assert scores.shape == reference.shape
    atol = max(1e-10 * reference.max().item(), rounding)
    torch.testing.assert_close(scores, reference, rtol=1e-10, atol=atol)


def assert_equal_scores(scores, expected):
    """Compare the scores of several layers."""
    assert scores.keys() == expected.keys()
    for name, S in scores.items():
        assert_equal_to_reference(S, expected[name])


def assert_all_layers_equal_the_reference(net, X, y, loss, curvature):
    """Compare the scores of every weight layer with the definition, in eval mode."""
    scores = hessian_scores(
        net, loss, X, y, n=1, aggregation="sum", curvature=curvature
    )
    (last,) = scores
    layers = [
        name
        for name, layer in net.named_modules()
        if isinstance(getattr(layer, "weight", None), torch.Tensor)
        and layer.weight.ndim > 1
        and name != "a"  # tied weights go by the last layer
    ]
    assert layers[-1] == last
    scores = hessian_scores(
        net, loss, X, y, layers=layers, aggregation="sum", curvature=curvature
    )
    net.eval()
    for name, S in scores.items():
        assert_equal_to_reference(S, reference_scores(net, loss, X, y, name, curvature))


def assert_redrawn_by(loss, model, X, y):
    """Compare the range of the scores by which an estimator redraws weights."""
    networks = []

    class Look(Callback):
        def on_epoch_end(self, net, **kwargs):
            networks.append(copy.deepcopy(net.module_))

    options = {"n": 2, "max_iter": 2, "hessian_samples": None}
    model.set_params(**options, skorch_callbacks=[Look()]).fit(X, y)
    data = torch.from_numpy(X), torch.from_numpy(y.astype(float))
    assert len(model.reinit_history_) == 2
    for record in model.reinit_history_:
        S = reference_scores(networks[0], loss, *data, record["layer"])
        S = S / S.numel()
        assert record["score_max"] == pytest.approx(S.max().item(), rel=1e-9)
        assert record["score_min"] == pytest.approx(S.min().item(), rel=1e-9)
