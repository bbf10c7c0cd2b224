r"""Exact curvature scores of linear layers, computed without the Hessian.

For a linear layer :math:`z_n = W h_n + b` and a loss :math:`J` in which sample n
enters through :math:`z_n` alone, put :math:`B_n = \partial^2 J / \partial z_n^2`. Then

.. math:: \frac{\partial^2 J}{\partial W_{ij}\,\partial W_{kl}}
          = \sum_n B_n[i,k]\, h_{nj}\, h_{nl},
          \qquad
          S_{ij} = \sum_{kl} \Bigl|\sum_n B_n[i,k]\, h_{nj}\, h_{nl}\Bigr|.

Every function below is a pure function of tensors; the block itself never exists.
"""

from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from numbers import Integral

import torch
from torch import nn
from torch.func import functional_call

AGGREGATIONS = ("mean", "sum")
CURVATURES = ("mean_loss", "per_sample")

# Elements of the largest temporary of the streamed score: small enough for a
# processor's outer cache, large enough to keep the matrix products at full speed.
_TILE_ELEMENTS = 2**22

# Autograd nodes of operations that are piecewise linear in a single tracked operand,
# and those that stay so with several.
_PIECEWISE_LINEAR_NODES = frozenset(
    f"{name}Backward0"
    for name in (
        *("Addmm", "Mm", "Bmm", "Add", "Sub", "Neg", "Mul", "Cat", "Expand"),
        *("T", "Transpose", "Permute", "View", "UnsafeView", "ReshapeAlias", "Alias"),
        *("Clone", "Slice", "Select", "Squeeze", "Unsqueeze"),
        *("Relu", "LeakyRelu", "Hardtanh"),
    )
)
_ADDITIVE_NODES = frozenset(("AddBackward0", "SubBackward0", "CatBackward0"))


def hessian_scores(
    module,
    loss,
    inputs,
    targets,
    *,
    n=1,
    layers=None,
    aggregation="mean",
    curvature="mean_loss",
):
    r"""Score every weight of the last linear layers by the exact Hessian of the loss.

    The score of a weight is its absolute row sum in the layer's Hessian block,
    the absolute value being taken element by element, before the sum.

    Parameters
    ----------
    module : torch.nn.Module
        The network. It is run in evaluation mode and comes back as it was. Its outputs
        for one sample must not depend on the other samples.
    loss : callable
        ``loss(outputs, targets)`` returns the scalar loss J: any weighted mean or
        sum over samples, twice differentiable in ``outputs``.
    inputs : Tensor of shape (n_samples, ...) or dict of str to Tensor
        What the network is called with; a dict is passed as keyword arguments.
    targets : object
        Passed to ``loss`` as it is.
    n : int, default=1
        Score the last ``n`` weight layers, in the order in which they are executed.
        Ignored when ``layers`` is given.
    layers : sequence of str, default=None
        Names of the layers to score, as in ``module.named_modules()``.
    aggregation : {"mean", "sum"}, default="mean"
        ``"sum"`` adds the absolute values along the extra dimensions, ``"mean"``
        divides that by the number of weights of the layer. The order of the weights
        inside a layer is the same.
    curvature : {"mean_loss", "per_sample"}, default="mean_loss"
        ``"mean_loss"`` takes the absolute value of the Hessian of J.
        ``"per_sample"`` adds up the absolute Hessians of the samples' shares of J:
        also exact, another quantity, and for hidden layers far cheaper.

    Returns
    -------
    scores : dict of str to Tensor
        For each layer's name a tensor of the shape (out_features, in_features), in the
        unit of J divided by the square of the weights' unit; from the first layer
        scored to the last, or in the order of ``layers``.

    Raises
    ------
    ValueError
        If an option has an unknown value, if ``n`` exceeds the number of weight
        layers, if a name in ``layers`` is not a weight layer of the module, if ``loss``
        does not return a scalar, or if a layer to be scored is not an
        ``nn.Linear`` that is used once on inputs of shape (n_samples, in_features).

    Notes
    -----
    With :math:`z_n = W h_n + b` and :math:`B_n = \partial^2 J/\partial z_n^2`,

    .. math:: S_{ij} = \sum_{kl} \Bigl|\sum_n B_n[i,k]\, h_{nj}\, h_{nl}\Bigr|
              \quad\text{(mean\_loss)}, \qquad
              S_{ij} = \sum_n \sum_k |B_n[i,k]|\,|h_{nj}|\,\lVert h_n\rVert_1
              \quad\text{(per\_sample)}.

    Where the sign of :math:`B_n[i,k] h_{nj} h_{nl}` is the same for all n, which is
    tested on the numbers at hand, nothing cancels and the first sum factorises like
    the second. All other pairs (i, k) are streamed in tiles of matrix products. For
    ``out`` units and ``in`` inputs the streamed part costs at most about
    ``n_samples * (out * in) ** 2 / 2`` operations. Beside the forward pass memory
    holds one row of B (``n_samples * out`` numbers; behind a piecewise linear tail
    with C outputs ``2 * C`` times that) and tiles of about four million numbers, or
    ``out * in`` where that is more.

    Examples
    --------
    >>> import torch
    >>> from sklearn_hessreg import hessian_scores
    >>> net = torch.nn.Linear(2, 1, bias=False).double()
    >>> X = torch.tensor([[1.0, 2.0], [3.0, 0.0]], dtype=torch.float64)
    >>> y = torch.zeros(2, 1, dtype=torch.float64)
    >>> scores = hessian_scores(
    ...     net, torch.nn.functional.mse_loss, X, y, aggregation="sum"
    ... )
    >>> scores[""]
    tensor([[12.,  6.]], dtype=torch.float64)
    """
    candidates = weight_layers(module) if layers is None else None
    if isinstance(layers, str) or (layers is not None and len(layers) == 0):
        raise ValueError(
            f"layers={layers!r} must be a list of at least one name, as [{layers!r}]."
        )
    if layers is None:
        names = select_layers(module, n, candidates)
    else:
        names = list(layers)
        _check_names(module, names)
    return score_layers(
        module, loss, inputs, targets, names, candidates, aggregation, curvature
    )


def score_layers(
    module, loss, inputs, targets, names, candidates, aggregation, curvature
):
    """Score the named layers; they must be the last executed ones of `candidates`."""
    _check_option("aggregation", aggregation, AGGREGATIONS)
    _check_option("curvature", curvature, CURVATURES)
    with _evaluation_mode(module), torch.enable_grad():
        traces, executed, outputs = _trace(module, inputs, names)
        _check_executed(names, executed, candidates)
        J = loss(outputs, targets)
        _check_scalar(J)
        scores = {
            name: _score_layer(J, outputs, traces[name], curvature) for name in names
        }
    if aggregation == "mean":
        scores = {name: S / S.numel() for name, S in scores.items()}
    return scores


def count_operations(n_samples, out_features, in_features):
    """Bound the floating-point operations of a streamed score of one layer."""
    pairs_of_units = out_features * (out_features + 1) // 2
    pairs_of_inputs = in_features * (in_features + 1) // 2
    return 2 * n_samples * pairs_of_units * pairs_of_inputs


def weight_layers(module):
    """List the names of the modules that own a weight matrix, in registration order."""
    return [
        name
        for name, layer in module.named_modules()
        if isinstance(weight := getattr(layer, "weight", None), torch.Tensor)
        and weight.ndim >= 2
    ]


def select_layers(module, n, names):
    """Take the last `n` of the module's weight layers `names`; all can be scored."""
    if not names:
        raise ValueError(
            f"{type(module).__name__} has no trainable layer with a weight matrix, so "
            "there is nothing to score. Add a linear layer."
        )
    if not isinstance(n, Integral) or not 1 <= n <= len(names):
        raise ValueError(
            f"n={n!r} is not possible: the module has {len(names)} weight layers "
            f"({', '.join(names)}), so n must be an integer from 1 to "
            f"{len(names)}. Choose a smaller n."
        )
    _check_names(module, names[-n:])
    return names[-n:]


def _check_names(module, names):
    """Refuse names that are no weight layers, and layers that cannot be scored."""
    known = weight_layers(module)
    modules = dict(module.named_modules())
    for name in names:
        if name not in known:
            raise ValueError(
                f"layers names {name!r}, which is no layer with a weight matrix; the "
                f"module has {known}. Use names as in module.named_modules()."
            )
        _check_layer(name, modules[name], modules)


def _check_layer(name, layer, modules):
    """Refuse layers for which the formula at the head of this file does not hold."""
    if not isinstance(layer, nn.Linear):
        raise ValueError(
            f"Layer {name!r} is a {type(layer).__name__}; only nn.Linear layers can be "
            "scored. Choose a smaller n, or name the linear layers in `layers`."
        )
    if "weight" not in dict(layer.named_parameters(recurse=False)):
        raise ValueError(
            f"The weight of layer {name!r} is parametrised, so it is not a parameter "
            "of its own. Remove the parametrisation or choose a smaller n."
        )
    owners = [
        other for other, m in modules.items() if getattr(m, "weight", 0) is layer.weight
    ]
    if len(owners) > 1:
        raise ValueError(
            f"Layers {owners} share one weight, so its Hessian is not that of a single "
            "layer. Untie the weights or choose a smaller n."
        )


def _check_option(name, value, allowed):
    """Refuse a value that is not one of the allowed strings."""
    if value not in allowed:
        raise ValueError(f"{name}={value!r} is unknown; use one of {list(allowed)}.")


def _check_scalar(J):
    """Refuse a loss that is not a single number, or not a function of the outputs."""
    if not isinstance(J, torch.Tensor) or J.numel() != 1:
        got = f"shape {tuple(J.shape)}" if isinstance(J, torch.Tensor) else repr(J)
        raise ValueError(
            f"loss(outputs, targets) returned {got}, expected a tensor with one "
            "element; reduce the losses of the samples to their mean or sum."
        )
    if not J.requires_grad:
        raise ValueError(
            f"loss(outputs, targets) returned {J.item()} without a gradient. Compute "
            "it from the outputs by torch functions, without detach."
        )


@contextmanager
def _evaluation_mode(module):
    """Switch every submodule to evaluation mode and back to its own mode."""
    training = {m: m.training for m in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for m, mode in training.items():
            m.training = mode


@dataclass
class _Trace:
    """What one layer saw in the forward pass: its inputs h and a zero added to z."""

    h: torch.Tensor
    delta: torch.Tensor


def _trace(module, inputs, names):
    """Run the module on detached weights, adding delta = 0 to z in the named layers."""
    traces, executed = {}, []

    def add_delta(name):
        def hook(_, args, kwargs, z):
            executed.append(name)
            if name not in names:
                return None
            h = args[0] if args else kwargs["input"]
            _check_use(name, h, first=name not in traces)
            delta = torch.zeros_like(z, requires_grad=True)
            traces[name] = _Trace(h.detach(), delta)
            return z + delta

        return hook

    modules = dict(module.named_modules())
    handles = [
        modules[name].register_forward_hook(add_delta(name), with_kwargs=True)
        for name in weight_layers(module)
    ]
    state = {
        key: tensor.detach()
        for key, tensor in chain(module.named_parameters(), module.named_buffers())
    }
    args, kwargs = ((), inputs) if isinstance(inputs, Mapping) else ((inputs,), {})
    try:
        outputs = functional_call(module, state, args, dict(kwargs))
    finally:
        for handle in handles:
            handle.remove()
    return traces, executed, outputs


def _check_use(name, h, first):
    """Refuse a second use of a layer, and inputs that are not (n_samples, in)."""
    if not first:
        raise ValueError(
            f"Layer {name!r} is used more than once in a forward pass; only layers "
            "used once can be scored. Choose other layers."
        )
    if h.ndim != 2:
        raise ValueError(
            f"Layer {name!r} received an input of shape {tuple(h.shape)}; only inputs "
            "of shape (n_samples, in_features) can be scored. Choose other layers."
        )


def _check_executed(names, executed, candidates):
    """Refuse named layers that were not run, or not last among the candidates."""
    if missing := [name for name in names if name not in executed]:
        raise ValueError(
            f"Layers {missing} were not used in the forward pass; executed were "
            f"{executed}. Name executed layers in `layers`."
        )
    ordered = [name for name in executed if name in (candidates or names)]
    if candidates and set(ordered[-len(names) :]) != set(names):
        raise ValueError(
            f"The last {len(names)} weight layers by registration are {names}, but the "
            f"module executes {ordered[-len(names) :]} last. Register the layers in "
            "the order of execution, or name those to score in `layers`."
        )


def _score_layer(J, outputs, trace, curvature):
    """Score one layer, row by row of its curvature B."""
    row = _curvature_rows(J, outputs, trace.delta)
    h = trace.h
    if curvature == "per_sample":
        r = torch.stack([row(i).abs().sum(1) for i in range(trace.delta.shape[1])], 1)
        return r.T @ (h.abs() * h.abs().sum(1, keepdim=True))
    alive = h.any(0)  # the rows and columns of a dead input are exactly zero
    S = h.new_zeros(trace.delta.shape[1], h.shape[1])
    S[:, alive] = _mean_loss_score(row, h[:, alive], S.shape[0])
    return S


def _curvature_rows(J, outputs, delta):
    """Return a function of i that gives B_n[i, :] for all n, shape (n_samples, out)."""
    matrix = isinstance(outputs, torch.Tensor) and outputs.ndim == 2
    narrow = matrix and outputs.shape[1] < delta.shape[1]
    if narrow and _is_piecewise_linear(outputs, delta):
        S = torch.stack(_jacobian_rows(_gradient(J, outputs), outputs), 1)
        A = torch.stack(_jacobian_rows(outputs, delta), 1)
        SA = S @ A
        return lambda i: torch.einsum("nc,nck->nk", A[:, :, i], SA)
    G = _gradient(J, delta)
    return lambda i: _jacobian_row(G, delta, i)


def _gradient(J, x):
    """Differentiate J by x, keeping the graph for a second derivative."""
    (G,) = torch.autograd.grad(
        J, x, create_graph=True, retain_graph=True, materialize_grads=True
    )
    return G


def _jacobian_row(y, x, c):
    """Differentiate sum_n y[n, c] by x: row c of every sample's Jacobian."""
    if not y.requires_grad:
        return torch.zeros_like(x)
    (row,) = torch.autograd.grad(
        y[:, c].sum(), x, retain_graph=True, materialize_grads=True
    )
    return row


def _jacobian_rows(y, x):
    """List the rows of every sample's Jacobian of y by x."""
    return [_jacobian_row(y, x, c) for c in range(y.shape[1])]


def _is_piecewise_linear(outputs, delta):
    """Tell from the autograd graph whether outputs are piecewise linear in delta."""
    reaches, stack = {None: False}, [outputs.grad_fn]
    while stack:
        node = stack[-1]
        children = [child for child, _ in node.next_functions]
        if pending := [child for child in children if child not in reaches]:
            stack.extend(pending)
            continue
        stack.pop()
        tracked = sum(reaches[child] for child in children)
        reaches[node] = tracked > 0 or getattr(node, "variable", None) is delta
        if tracked and node.name() not in _PIECEWISE_LINEAR_NODES:
            return False
        if tracked > 1 and node.name() not in _ADDITIVE_NODES:
            return False
    return True


def _mean_loss_score(row, h, out):
    """Sum |sum_n B_n[i,k] h_nj h_nl| over k and l, pair of units by pair of units."""
    S = h.new_zeros(out, h.shape[1])
    factor = h.abs() * h.abs().sum(1, keepdim=True)  # |h_nj| * ||h_n||_1
    one_signed = bool(((h >= 0).all(0) | (h <= 0).all(0)).all())
    for i in range(out):
        b = row(i)[:, i:]  # B is symmetric: the pairs (i, k) with k >= i are enough
        coherent = (b >= 0).all(0) | (b <= 0).all(0)
        if not one_signed:
            coherent = torch.zeros_like(coherent)
        R = h.new_empty(b.shape[1], h.shape[1])
        R[coherent] = b[:, coherent].abs().T @ factor
        R[~coherent] = _streamed_score(b[:, ~coherent], h)
        S[i] += R.sum(0)
        S[i + 1 :] += R[1:]
    return S


def _streamed_score(b, h):
    """Sum |sum_n b_nk h_nj h_nl| over l, for every k and j, in tiles over j and l."""
    R = h.new_zeros(b.shape[1], h.shape[1])
    active = b.any(1)  # a sample in which unit i is dead adds nothing
    b, h = b[active], h[active]
    n_samples, d = h.shape
    if not R.numel() or not n_samples:
        return R
    width = max(1, min(d, 32, _TILE_ELEMENTS // (d * b.shape[1])))
    chunk = max(1, _TILE_ELEMENTS // (d * width))
    for j in range(0, d, width):
        M = 0
        for s in range(0, n_samples, chunk):
            hs = h[s : s + chunk]
            pairs = (hs[:, j : j + width, None] * hs[:, None, j:]).flatten(1)
            M = M + b[s : s + chunk].T @ pairs
        M = M.abs_().view(b.shape[1], -1, d - j)
        R[:, j : j + width] += M.sum(2)
        R[:, j + width :] += M[:, :, width:].sum(1)  # the symmetric pairs (l, j)
    return R
