"""The two forms of a loss's curvature: when they are found, and what they spare."""

import pytest
import torch
from reference import assert_equal_to_reference, reference_scores
from torch import nn
from torch.nn import functional as F

from sklearn_hessreg import hessian_scores
from sklearn_hessreg._hessian import _select_formula, count_operations
from sklearn_hessreg._hessian._forms import Dense, Diagonal, Softmax
from sklearn_hessreg._hessian._loss import LossByOutputs

N = 12


def logits(C, scale=1.0, dtype=torch.float64):
    """Draw logits, labels and weights of N samples, one of the weights zero."""
    generator = torch.Generator().manual_seed(C)
    z = scale * torch.randn(N, C, generator=generator, dtype=torch.float64)
    w = torch.rand(N, generator=generator, dtype=torch.float64)
    w[3] = 0
    return z.to(dtype).requires_grad_(), torch.arange(N) % C, w.to(dtype)


def weighted(losses, w):
    return (w * losses).sum() / w.sum()


SOFTMAX = {
    "mean": lambda z, y, w: F.cross_entropy(z, y),
    "weighted": lambda z, y, w: weighted(F.cross_entropy(z, y, reduction="none"), w),
    "soft targets": lambda z, y, w: F.cross_entropy(z, y, label_smoothing=0.1),
    "log-sum-exp": lambda z, y, w: weighted(z.logsumexp(1) - z[range(N), y], w),
    "of opposite weights": lambda z, y, w: weighted(
        F.cross_entropy(z, y, reduction="none"), w - 0.4
    ),
}
DIAGONAL = {
    "squared": lambda z, y, w: weighted(z.square().sum(1), w),
    "logistic": lambda z, y, w: F.binary_cross_entropy_with_logits(
        z, F.one_hot(y, z.shape[1]).to(z)
    ),
    "poisson": lambda z, y, w: weighted((z.exp() - z).sum(1), w),
    "huber": lambda z, y, w: F.huber_loss(z, torch.zeros_like(z)),
    "log-cosh": lambda z, y, w: z.clamp(-300, 300).cosh().log().mean(),
    "linear": lambda z, y, w: z.mean(),
}
OTHERS = {
    "temperature": lambda z, y, w: F.cross_entropy(z / 2, y),
    "focal": lambda z, y, w: (
        (1 - z.softmax(1)[range(N), y]) ** 2 * F.cross_entropy(z, y, reduction="none")
    ).mean(),
    "penalised": lambda z, y, w: F.cross_entropy(z, y) + 1e-6 * z.square().sum(),
    "rows in common": lambda z, y, w: z.square().sum() + 1e-3 * z[2] @ z[5],
    "one pair of samples": lambda z, y, w: (
        F.cross_entropy(z, y) + 1e-6 * z[2, 0] * z[5, 0]
    ),
}


def form_of(loss, C, scale=1.0, dtype=torch.float64):
    z, y, w = logits(C, scale, dtype)
    return type(LossByOutputs(lambda z: loss(z, y, w), z).curvature)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("C", [2, 10, 1000])
@pytest.mark.parametrize("loss", SOFTMAX)
def test_softmax_form_is_found(loss, C, scale, dtype):
    assert form_of(SOFTMAX[loss], C, scale, dtype) is Softmax


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("C", [1, 10, 1000])
@pytest.mark.parametrize("loss", DIAGONAL)
def test_diagonal_form_is_found(loss, C, scale, dtype):
    assert form_of(DIAGONAL[loss], C, scale, dtype) is Diagonal


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("loss", OTHERS)
def test_loss_that_is_nearly_of_a_form_is_of_none(loss, dtype):
    assert form_of(OTHERS[loss], 10, dtype=dtype) is Dense


@pytest.mark.parametrize("scale", [1.0, 8.0])
@pytest.mark.parametrize("loss", ["weighted", "of opposite weights", "squared"])
def test_form_is_the_second_derivative(loss, scale):
    z, y, w = logits(5, scale)
    function = {**SOFTMAX, **DIAGONAL}[loss]
    head = LossByOutputs(lambda z: function(z, y, w), z)
    S, form = head._second_derivative(), head.curvature
    A = torch.randn(N, 5, 3, dtype=torch.float64)
    every = torch.arange(5)
    assert_equal_to_reference(form.times(A), S @ A, 1e-14)
    assert_equal_to_reference(form.absolute_sums(), S.abs().sum(2), 1e-14)
    assert_equal_to_reference(form.blocks(every, every), S.transpose(0, 1), 1e-14)
    assert_equal_to_reference(
        form.take([4, 2]).times(A[[4, 2]]), (S @ A)[[4, 2]], 1e-14
    )


def network(C, activation, last=None):
    """Make a network with one hidden layer, and samples for it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(4, 5), activation, nn.Linear(5, C)).double()
        if last is not None:
            net.append(last)
        return net, torch.randn(N, 4, dtype=torch.float64), torch.arange(N) % C


def layer_problem(loss, activation):
    """Make a network and a loss in which every sample has a weight."""
    net, X, y = network(4, activation)
    w = torch.rand(N, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    function = {**SOFTMAX, **DIAGONAL, **OTHERS}[loss]
    return net, X, y, lambda outputs, targets: function(outputs, targets, w)


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.Tanh()])
@pytest.mark.parametrize("loss", [*SOFTMAX, *DIAGONAL, *OTHERS])
def test_output_layer_equals_the_materialised_hessian(loss, activation):
    net, X, y, J = layer_problem(loss, activation)
    S = hessian_scores(net, J, X, y, aggregation="sum")["2"]
    assert_equal_to_reference(S, reference_scores(net, J, X, y, "2"), 1e-15)


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.Tanh()])
@pytest.mark.parametrize("loss", [*SOFTMAX, *DIAGONAL, "temperature", "penalised"])
def test_output_layer_per_sample_equals_the_curvature_of_the_loss(loss, activation):
    net, X, y, J = layer_problem(loss, activation)
    S = hessian_scores(net, J, X, y, aggregation="sum", curvature="per_sample")["2"]
    h = net[:2](X).detach()
    r = LossByOutputs(lambda z: J(z, y), net(X))._second_derivative().abs().sum(2)
    assert_equal_to_reference(S, r.T @ (h.abs() * h.abs().sum(1, keepdim=True)), 1e-15)


@pytest.mark.parametrize("loss", ["rows in common", "one pair of samples"])
def test_samples_in_common_are_refused_per_sample(loss):
    net, X, y, J = layer_problem(loss, nn.ReLU())
    with pytest.raises(ValueError, match="samples interact"):
        hessian_scores(net, J, X, y, curvature="per_sample")


def test_log_softmax_in_the_network_is_of_the_softmax_form():
    net, X, y = network(4, nn.ReLU(), nn.LogSoftmax(1))
    scores = hessian_scores(net, F.nll_loss, X, y, aggregation="sum")
    assert "0.0% of the pairs" in scores.formulas["2"]
    assert "form, softmax" in scores.formulas["2"]
    assert_equal_to_reference(scores["2"], reference_scores(net, F.nll_loss, X, y, "2"))


@pytest.mark.parametrize("curvature", ["mean_loss", "per_sample"])
@pytest.mark.parametrize("loss", ["mean", "logistic"])
def test_output_layer_takes_as_many_derivatives_for_any_number_of_classes(
    loss, curvature, monkeypatch
):
    counts, grad = [], torch.autograd.grad

    def counted(*args, **kwargs):
        counts[-1] += 1
        return grad(*args, **kwargs)

    monkeypatch.setattr(torch.autograd, "grad", counted)
    function = {**SOFTMAX, **DIAGONAL}[loss]
    for C in (10, 100):
        counts.append(0)
        net, X, y = network(C, nn.ReLU())
        w = torch.ones(N, dtype=torch.float64)
        hessian_scores(
            *(net, lambda z, y, w=w: function(z, y, w), X, y), curvature=curvature
        )
    # of J, in a random direction, by the largest class, and two for a diagonal
    assert counts[0] == counts[1] <= 5


@pytest.mark.parametrize("curvature", ["mean_loss", "per_sample"])
@pytest.mark.parametrize(
    "hidden",
    [nn.Linear(4, 9), nn.Sequential(nn.Unflatten(1, (1, 4)), nn.Conv1d(1, 4, 2))],
)
def test_hidden_layers_do_not_form_the_curvature_of_the_loss(
    hidden, curvature, monkeypatch
):
    def formed(self):
        raise AssertionError("N x C x C numbers are formed")

    monkeypatch.setattr(LossByOutputs, "_second_derivative", formed)
    net = nn.Sequential(hidden, nn.Flatten(), nn.ReLU(), nn.LazyLinear(3)).double()
    X, y = torch.randn(N, 4, dtype=torch.float64), torch.arange(N) % 3
    net(X)
    assert hessian_scores(net, F.cross_entropy, X, y, n=2, curvature=curvature)


def test_outputs_with_losses_of_their_own_stream_no_pairs_of_units(monkeypatch):
    net, X, y = network(4, nn.Tanh())
    seen = []
    stream = _select_formula._streamed._stream_block

    def streamed(S, block, todo, *args):
        seen.append(tuple(todo.shape))
        return stream(S, block, todo, *args)

    monkeypatch.setattr(_select_formula._streamed, "_stream_block", streamed)
    hessian_scores(net, lambda z, y: z.square().mean(), X, y)
    assert seen == [(1, 1)] * 4


def test_operations_are_counted_without_pairs_of_units():
    assert count_operations(7, 5, 2) == 2 * 7 * 15 * 3
    assert count_operations(7, 5, 2, diagonal=True) == 2 * 7 * 5 * 3
