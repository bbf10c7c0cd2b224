r"""Shortcuts for what skorch and autograd do in a batch, with the same visible results.

Every shortcut states what it is worth: the time of an epoch without it, as a multiple
of the time with it (20 features, 100 units, two classes, float64, batches of 32, one
thread, median of seven pairs). The flat weights of MLPNet are worth 1.03, Adam's direct
call of torch's kernel 1.18.

Computing the gradients as plain matrix products, without autograd's record, is worth
1.29. With inputs :math:`h_0`, layers :math:`z_l = h_{l-1} W_l^\top + b_l` and
activations :math:`h_l = f(z_l)`, the head's derivative
:math:`D_L = \partial J/\partial z_L` gives

.. math:: \frac{\partial J}{\partial W_l} = D_l^\top h_{l-1}, \qquad
          \frac{\partial J}{\partial b_l} = \sum_n D_{ln}, \qquad
          D_{l-1} = D_l W_l \odot f'(z_{l-1}).

For classes these gradients equal autograd's to the bit, for numbers up to rounding.
They are computed only for plain layers, without hooks and without callbacks that look
at batches.
"""

from functools import cache

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch.nn import functional as F
from torch.nn.modules import module as torch_module

from sklearn_hessreg._training._mlp import MLP, Linear, SparseRows

BATCH_HOOKS = ("on_batch_begin", "on_grad_computed", "on_batch_end")

# D * f'(z) from D and h = f(z), by autograd's kernels
_backward = torch.ops.aten
TIMES_DERIVATIVE = {
    "identity": lambda D, h: D,
    "logistic": _backward.sigmoid_backward.default,
    "tanh": _backward.tanh_backward.default,
    "relu": lambda D, h: _backward.threshold_backward.default(D, h, 0),
}

# hooks on every module; torch 2.6 has no function yet that reports them
GLOBAL_HOOKS = (
    torch_module._global_backward_pre_hooks,
    torch_module._global_backward_hooks,
    torch_module._global_forward_pre_hooks,
    torch_module._global_forward_hooks,
)


class ShortcutNet(NeuralNet):
    """skorch's net for one module, with one optimizer that holds all its parameters."""

    def infer(self, x, **fit_params):
        """Run the module on a batch; skorch does not know rows that stay sparse."""
        if isinstance(x, SparseRows):
            return self.module_(x)
        return super().infer(x, **fit_params)

    def _zero_grad_optimizer(self, set_to_none=None):
        """Drop the gradients without torch's profiler record (worth 1.13)."""
        for group in self.optimizer_.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def _set_training(self, training=True):
        """Switch the module's mode only where it changes (worth 1.07)."""
        if self.module_.training != training:
            super()._set_training(training)


def _has(callback, hook):
    """Return whether a callback overrides this hook of Callback."""
    own = getattr(callback, hook)
    return getattr(own, "__func__", None) is not getattr(Callback, hook)


def can_bypass_autograd(net):
    """Check whether nothing observes batches, so autograd can be skipped.

    An activation without a derivative here, and anything changed since the net was
    built, is left to autograd. This is asked in every epoch, which may last a
    millisecond, so the modules are named here instead of looked for.
    """
    spec, module = net.spec, net.module_
    if (
        net.device != "cpu"
        or spec.activation not in TIMES_DERIVATIVE
        or type(module) is not MLP
        or any(_has(c, hook) for _, c in net.callbacks_ for hook in BATCH_HOOKS)
        or any(GLOBAL_HOOKS)
        or torch.is_anomaly_enabled()
    ):
        return False
    layers, dropout = module.layers, module.dropout
    return (
        dropout.p == 0
        and all(type(layer) is Linear for layer in layers)
        and not any(map(_is_watched_module, (module, layers, dropout, *layers)))
        and not any(
            _is_watched_parameter(p) for x in layers for p in (x.weight, x.bias)
        )
        and _is_plain_criterion(net.criterion_, spec.head.criterion)
    )


def _is_watched_module(m):
    """Return whether a module has hooks or its own forward pass."""
    return bool(
        m._forward_hooks
        or m._forward_pre_hooks
        or m._backward_hooks
        or m._backward_pre_hooks
        or "forward" in vars(m)
    )


def _is_watched_parameter(p):
    """Return whether a parameter has hooks or is frozen."""
    hooks = p._backward_hooks or getattr(p, "_post_accumulate_grad_hooks", None)
    return bool(hooks) or not p.requires_grad


def _is_plain_criterion(criterion, make):
    """Return whether a criterion is as the head makes it, without hooks or options."""
    made = _plain(make)
    set_by_the_net = {"training": made.training, "reduction": made.reduction}
    return type(criterion) is type(made) and vars(criterion) | set_by_the_net == vars(
        made
    )


@cache
def _plain(make):
    """Make a criterion to compare with."""
    return make()


def forward(layers, activation, X):
    """Return h_0 to h_{L-1} and the outputs z_L for pairs of W and b."""
    h = [X]
    *hidden, (W, b) = layers
    for V, c in hidden:
        h.append(activation(F.linear(h[-1], V, c)))
    return h, F.linear(h[-1], W, b)


def backward(layers, activation, h, D):
    """Yield the gradients of W_l and b_l from the last layer to the first."""
    times_derivative = TIMES_DERIVATIVE[activation]
    for (W, _), x in zip(reversed(layers), reversed(h), strict=True):
        yield D.t() @ x, D.sum(0)
        if x is not h[0]:
            D = times_derivative(D @ W, x)
