"""Checks of hessian_scores on two ranks, for test_group.py."""

import copy
import logging
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

import pytest
import torch
import torch.distributed as dist
from networks import NETWORKS, conv_net, prepare, weighted
from perceptrons import LOSSES, N, make_net, shared
from ranks import on_all_ranks
from reference import assert_equal_to_reference
from torch import nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from sklearn_hessreg import hessian_scores
from sklearn_hessreg._hessian import _group, ranks_of
from sklearn_hessreg._reinit import select_top_k

CURVATURES = ("mean_loss", "per_sample")


def layers_of(net):
    """Name all weight layers; of tied ones the last."""
    return [
        name
        for name, layer in net.named_modules()
        if isinstance(getattr(layer, "weight", None), torch.Tensor)
        and layer.weight.ndim > 1
        and name != "a"
    ]


def assert_same_on_all_ranks(scores):
    """Compare scores to the bit."""
    for other in on_all_ranks(scores):
        assert all(torch.equal(S, other[name]) for name, S in scores.items())


def assert_equal_to_one_process(net, loss, X, y, **options):
    """Compare the ranks' scores of all layers with those of one process."""
    options = {"layers": layers_of(net), "aggregation": "sum", **options}
    scores = hessian_scores(net, loss, X, y, **options)
    assert_same_on_all_ranks(scores)
    for name, S in hessian_scores(net, loss, X, y, group=False, **options).items():
        assert_equal_to_reference(scores[name], S)
    return scores.formulas


def zoo(name, curvature):
    net, X, y = prepare(NETWORKS[name])
    assert_equal_to_one_process(net, weighted, X, y, curvature=curvature)


def perceptron(activation, loss_name, curvature, memory=512):
    n_outputs, per_sample = LOSSES[loss_name]
    net, X, y = make_net(activation, (4, 6, 5, n_outputs))
    loss = shared(per_sample, torch.ones(N, dtype=torch.float64))
    options = {"curvature": curvature, "working_memory": memory}
    assert_equal_to_one_process(net, loss, X, y, **options)


@contextmanager
def logged(level):
    """Collect what the package's logger says."""
    messages, logger = [], logging.getLogger("sklearn_hessreg")
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


def formula(make, layer, curvature, word):
    """Score one layer, and see how both ranks did it."""
    net, X, y = prepare(make)
    options = {"curvature": curvature, "layers": [layer]}
    used = assert_equal_to_one_process(net, weighted, X, y, **options)
    assert word in used[layer]


def same_weights_are_selected():
    net, X, y = make_net("relu", (6, 20, 15, 3))
    masks = [
        select_top_k(hessian_scores(net, F.cross_entropy, X, y, n=3, group=g), 10, s)
        for g in (None, False)
        for s in ("layer", "global")
    ]
    for together, alone in zip(masks[:2], masks[2:], strict=True):
        assert all(torch.equal(mask, alone[name]) for name, mask in together.items())


def one_unit_is_scored_by_one_rank():
    net, X, y = make_net("tanh", (4, 1, 3))
    assert_equal_to_one_process(net, F.cross_entropy, X, y)


def one_sample(curvature):
    net, X, y = make_net("tanh", (4, 5, 3))
    options = {"curvature": curvature}
    assert_equal_to_one_process(net, F.cross_entropy, X[:1], y[:1], **options)


def a_loss_that_takes_the_network_beside_its_outputs():
    net, X, y = make_net("tanh", (4, 5, 3))

    def loss(outputs, targets):
        return F.cross_entropy(outputs, targets) + outputs.mean() * net[0].weight.sum()

    assert_equal_to_one_process(net, loss, X, y, curvature="per_sample")


def batch_norm_net():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(), nn.Linear(6, 3)
    )
    return net.double()


def data():
    generator = torch.Generator().manual_seed(1)
    X = torch.randn(8, 4, generator=generator, dtype=torch.float64)
    return X, torch.arange(8) % 3


def layers_in_ddp_keep_their_names():
    net = batch_norm_net()
    wrapped = DistributedDataParallel(net)
    scores = hessian_scores(wrapped, F.cross_entropy, *data(), n=2)
    assert list(scores) == ["0", "4"]
    alone = hessian_scores(net, F.cross_entropy, *data(), n=2, group=False)
    for name, S in scores.items():
        assert_equal_to_reference(S, alone[name])


def ddp_is_scored_with_the_first_ranks_running_statistics():
    wrapped = DistributedDataParallel(batch_norm_net())
    X, _ = data()
    wrapped(X * (1 + dist.get_rank())).sum().backward()  # each rank's own statistics
    assert_same_on_all_ranks(hessian_scores(wrapped, F.cross_entropy, *data(), n=2))
    assert_same_on_all_ranks(dict(wrapped.module.named_buffers()))


def one_rank_alone_scores_batch_norm_in_ddp():
    wrapped = DistributedDataParallel(batch_norm_net())
    if dist.get_rank() == 0:
        scores = hessian_scores(wrapped, F.cross_entropy, *data(), group=False)
        assert list(scores) == ["4"]


def one_rank_alone_is_told_that_others_are_missing():
    group = dist.new_group(timeout=timedelta(seconds=2))
    if dist.get_rank() == 0:
        with logged(logging.WARNING) as messages, pytest.MonkeyPatch.context() as patch:
            patch.setattr(_group, "PATIENCE", 0.2)
            with pytest.raises(RuntimeError, match=r"others in vain at: .*same order"):
                hessian_scores(batch_norm_net(), F.cross_entropy, *data(), group=group)
        (message,) = messages
        assert message.startswith("Rank 0 of 2 has waited 0.2 s for the others at: ")


def a_group_of_some_ranks_scores_without_the_others():
    group = dist.new_group([0])
    if dist.get_rank() == 0:
        hessian_scores(batch_norm_net(), F.cross_entropy, *data(), group=group)
    else:
        with pytest.raises(ValueError, match="Process 1 is not in the group"):
            hessian_scores(batch_norm_net(), F.cross_entropy, *data(), group=group)


def refused(match, net=None, X=None, y=None, loss=F.cross_entropy, **options):
    """Expect an error on both ranks, and scores in the next call."""
    net, given = batch_norm_net() if net is None else net, data()
    X, y = given[0] if X is None else X, given[1] if y is None else y
    with pytest.raises(ValueError, match=match):
        hessian_scores(net, loss, X, y, **options)
    hessian_scores(batch_norm_net(), F.cross_entropy, *given)


def other_weights_are_refused():
    net = batch_norm_net()
    with torch.no_grad():
        net[4].bias[1] += dist.get_rank() * 1e-12
    refused("different parameters: 4.bias has other values on rank 1.*broadcast", net)


def other_shapes_are_refused():
    net = nn.Sequential(nn.Linear(4, 5 + dist.get_rank()), nn.Tanh()).double()
    refused(r"0.weight is \(5, 4\) of torch.float64 on rank 0, \(6, 4\)", net)


def other_types_are_refused():
    net = batch_norm_net().to(torch.float32 if dist.get_rank() else torch.float64)
    refused("different parameters: 0.weight is .*float64 on rank 0, .*float32", net)


def other_layers_are_refused():
    net = batch_norm_net()
    net = nn.Sequential(*net[: 5 - dist.get_rank()])
    refused("4.weight is .* on rank 0, missing on rank 1", net)


def other_buffers_are_refused():
    net = batch_norm_net()
    net[1].running_mean += dist.get_rank()
    refused("different buffers: 1.running_mean has other values.*Broadcast", net)


def other_samples_are_refused():
    refused("samples: tensor 0 has other.*gather", X=data()[0] + dist.get_rank())


def other_numbers_of_samples_are_refused():
    rows = slice(dist.get_rank(), None)
    refused("tensor 0 is .8, 4. .*, .7, 4.", X=data()[0][rows], y=data()[1][rows])


def other_targets_are_refused():
    refused("different samples: tensor 1", y=data()[1].roll(dist.get_rank()))


def other_arguments_are_refused():
    refused("different arguments: n is 1 on rank 0, 2 on rank 1", n=1 + dist.get_rank())


def other_losses_are_refused():
    w = torch.tensor([1.0, 1.0, 1.0 + dist.get_rank()], dtype=torch.float64)
    refused("is .* on rank 0 and .* on rank 1", loss=partial(F.cross_entropy, weight=w))


def what_all_ranks_may_not_is_refused_on_all():
    refused("n=9 is not possible", n=9)


def an_error_on_one_rank_is_told_on_the_other():
    def loss(outputs, targets):
        if dist.get_rank() == 1:
            raise OverflowError("too large")
        return F.cross_entropy(outputs, targets)

    error, match = (RuntimeError, "Rank 1 failed.*OverflowError: too large")
    if dist.get_rank() == 1:
        error, match = OverflowError, "too large"
    with pytest.raises(error, match=match):
        hessian_scores(batch_norm_net(), loss, *data())
    hessian_scores(batch_norm_net(), F.cross_entropy, *data())


def ranks_at_different_points_are_told():
    stage = ("here", "there")[dist.get_rank()]
    with pytest.raises(RuntimeError, match=r"is at: (here|there), but"):
        ranks_of().gather(stage, int)


def nothing_is_left_changed():
    net = batch_norm_net()
    before = copy.deepcopy(net.state_dict())
    state = torch.get_rng_state()
    hessian_scores(net, F.cross_entropy, *data(), n=2)
    assert net.training
    assert torch.equal(state, torch.get_rng_state())
    after = net.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


relu_conv, smooth_conv = partial(conv_net, nn.ReLU()), NETWORKS["convolutions, gelu"]
residual = NETWORKS["residual, LayerNorm"]
CHECKS = {
    **{
        f"{name}, {curvature}": partial(zoo, name, curvature)
        for name in NETWORKS
        for curvature in CURVATURES
    },
    **{
        f"{activation}, {loss}, {c}": partial(perceptron, activation, loss, c)
        for activation in ("relu", "tanh", "identity")
        for loss in LOSSES
        for c in CURVATURES
    },
    **{
        f"little memory, {activation}, {c}": partial(
            perceptron, activation, "softmax", c, 0.001
        )
        for activation in ("relu", "tanh")
        for c in CURVATURES
    },
    **{
        f"{word}, {curvature}": partial(formula, make, layer, curvature, word)
        for make, layer, curvature, word in (
            (residual, "first", "mean_loss", "streamed"),
            (residual, "first", "per_sample", "factorised"),
            (relu_conv, "1", "mean_loss", "Jacobian"),
            (relu_conv, "1", "per_sample", "Jacobian"),
            (smooth_conv, "1", "mean_loss", "row by row"),
            (smooth_conv, "1", "per_sample", "row by row"),
        )
    },
    **{f"one sample, {c}": partial(one_sample, c) for c in CURVATURES},
    **{
        check.__name__: check
        for check in (
            same_weights_are_selected,
            one_unit_is_scored_by_one_rank,
            a_loss_that_takes_the_network_beside_its_outputs,
            layers_in_ddp_keep_their_names,
            ddp_is_scored_with_the_first_ranks_running_statistics,
            one_rank_alone_scores_batch_norm_in_ddp,
            one_rank_alone_is_told_that_others_are_missing,
            a_group_of_some_ranks_scores_without_the_others,
            other_weights_are_refused,
            other_shapes_are_refused,
            other_types_are_refused,
            other_layers_are_refused,
            other_buffers_are_refused,
            other_samples_are_refused,
            other_numbers_of_samples_are_refused,
            other_targets_are_refused,
            other_arguments_are_refused,
            other_losses_are_refused,
            what_all_ranks_may_not_is_refused_on_all,
            an_error_on_one_rank_is_told_on_the_other,
            ranks_at_different_points_are_told,
            nothing_is_left_changed,
        )
    },
}
