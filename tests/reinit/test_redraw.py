"""Selection, redraw and optimizer state, to the bit."""

import math

import numpy as np
import pytest
import torch
from skorch import NeuralNet
from torch import nn

from sklearn_hessreg._reinit._importance import random_scores
from sklearn_hessreg._reinit._redraw import (
    INITIALIZERS,
    check_resettable,
    draw_like,
    reset_state,
    select_top_k,
    write_masked,
)
from sklearn_hessreg._reinit._samples import draw_samples, to_batch
from sklearn_hessreg._reinit._trained_module import trained_rows


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("k", "count", "expected"),
    [
        (0, 100, 0),
        (100, 100, 100),
        (10, 2000, 200),
        (7, 100, 7),  # 7 / 100 * 100 is more than 7 in floating point
        (0.1, 1000, 1),
        (10, 101, 11),
        (1e-9, 5, 1),
        (np.float32(0.1), 1000, 1),
        (True, 100, 1),
    ],
)
def test_top_k_takes_the_ceiling_of_the_percentage(k, count, expected):
    scores = {"a": torch.rand(count, generator=generator())}
    assert int(select_top_k(scores, k, "layer")["a"].sum()) == expected


@pytest.mark.parametrize("k", [0, 1, 30, 99, 100])
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool]
)
def test_selection_is_that_of_a_stable_sort(dtype, k):
    scores = torch.randint(-2, 3, (1000,), generator=torch.Generator().manual_seed(0))
    scores = scores.to(dtype)
    order = scores.argsort(descending=True, stable=True)[: 10 * k]
    mask = select_top_k({"a": scores}, k, "layer")["a"]
    assert mask.nonzero()[:, 0].tolist() == sorted(order.tolist())


def test_layer_scope_counts_in_every_layer_and_global_scope_in_all():
    scores = {"a": torch.arange(10.0), "b": 100 + torch.arange(20.0)}
    layer = select_top_k(scores, 10, "layer")
    assert [int(m.sum()) for m in layer.values()] == [1, 2]
    together = select_top_k(scores, 10, "global")
    assert [int(m.sum()) for m in together.values()] == [0, 3]


@pytest.mark.parametrize("initializer", [*INITIALIZERS, nn.init.xavier_uniform_])
def test_draw_is_that_of_torch_for_the_whole_matrix(initializer):
    weight = torch.ones(4, 6, dtype=torch.float64)
    drawn = draw_like(weight, initializer, generator(1))
    expected = torch.zeros(4, 6, dtype=torch.float64)
    if initializer != "zeros":
        draw = getattr(nn.init, f"{initializer}_", initializer)
        draw(expected, generator=generator(1))
    assert torch.equal(drawn, expected)


def test_callable_may_fill_in_place_or_return():
    weight = torch.ones(2, 3)
    filled = draw_like(weight, lambda t, generator: [t.fill_(7)].clear(), generator())
    assert torch.equal(filled, 7 * weight)
    returned = draw_like(weight, lambda t, generator: 8 * torch.ones(2, 3), generator())
    assert torch.equal(returned, 8 * weight)


def test_untouched_weights_are_identical_to_the_bit_and_nan_is_replaced():
    parameter = nn.Parameter(torch.rand(3, 4, generator=generator()))
    with torch.no_grad():
        parameter[0, 0] = math.nan
    before = parameter.detach().clone()
    mask = torch.zeros(3, 4, dtype=torch.bool)
    mask[0, 0] = mask[2, 1] = True
    write_masked(parameter, mask, torch.full((3, 4), 5.0))
    assert (parameter[mask] == 5).all()
    assert torch.equal(parameter[~mask], before[~mask])


@pytest.mark.parametrize(
    ("optimizer", "memories"),
    [
        (lambda p: torch.optim.SGD(p, momentum=0.9), {"momentum_buffer"}),
        (torch.optim.Adam, {"exp_avg", "exp_avg_sq"}),
        (
            lambda p: torch.optim.Adam(p, amsgrad=True),
            {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"},
        ),
    ],
    ids=["sgd", "adam", "amsgrad"],
)
def test_reset_zeroes_the_moments_of_exactly_the_marked_weights(optimizer, memories):
    parameter = nn.Parameter(torch.rand(3, 4, generator=generator()))
    optimizer = optimizer([parameter])
    parameter.square().sum().backward()
    optimizer.step()
    state = optimizer.state[parameter]
    before = {name: memory.clone() for name, memory in state.items()}
    mask = torch.zeros(3, 4, dtype=torch.bool)
    mask[1, 2] = True
    reset_state(optimizer, parameter, mask)
    for name, memory in state.items():
        if name in memories:
            assert memory[1, 2] == 0
            assert torch.equal(memory[~mask], before[name][~mask])
        else:
            assert torch.equal(memory, before[name])


def test_reset_sets_a_step_size_back_to_the_learning_rate():
    parameter = nn.Parameter(torch.rand(3, 4, generator=generator()))
    optimizer = torch.optim.Rprop([parameter], lr=0.25)
    for _ in range(2):
        optimizer.zero_grad()
        parameter.square().sum().backward()
        optimizer.step()
    mask = torch.zeros(3, 4, dtype=torch.bool)
    mask[1, 2] = True
    reset_state(optimizer, parameter, mask)
    state = optimizer.state[parameter]
    assert (state["prev"][1, 2], state["step_size"][1, 2]) == (0, 0.25)
    assert (state["step_size"][~mask] != 0.25).all()


def train(optimizer, parameter):
    def closure():
        optimizer.zero_grad()
        loss = parameter.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)


@pytest.mark.parametrize("trained", [False, True], ids=["new", "trained"])
@pytest.mark.parametrize("optimizer", [torch.optim.LBFGS, torch.optim.Adafactor])
def test_state_that_belongs_to_no_single_weight_is_refused(optimizer, trained):
    parameter = nn.Parameter(torch.rand(3, 4, generator=generator()))
    made = optimizer([parameter])
    if trained:
        train(made, parameter)
    with pytest.raises(ValueError, match=rf"{optimizer.__name__}: its.*'keep'"):
        check_resettable(made, parameter)


def test_state_of_an_optimizer_that_cannot_be_made_anew_is_refused_once_there():
    class Own(torch.optim.Adafactor):
        def __init__(self, parameters, secret):
            super().__init__(parameters)

    parameter = nn.Parameter(torch.rand(3, 4, generator=generator()))
    optimizer = Own([parameter], "secret")
    check_resettable(optimizer, parameter)
    train(optimizer, parameter)
    with pytest.raises(ValueError, match="Own: its col_var, row_var"):
        check_resettable(optimizer, parameter)


@pytest.mark.parametrize(
    "optimizer",
    [
        *("SGD", "Adam", "AdamW", "NAdam", "RAdam", "Adamax", "Adadelta", "Adagrad"),
        *("ASGD", "RMSprop", "Rprop", "Muon"),
    ],
)
def test_state_of_single_weights_is_accepted(optimizer):
    if not hasattr(torch.optim, optimizer):
        pytest.skip("Muon came with torch 2.9")
    parameter = nn.Parameter(torch.rand(3, 4, generator=generator()))
    optimizer = getattr(torch.optim, optimizer)([parameter])
    assert check_resettable(optimizer, parameter) is None  # it raises if it is not
    train(optimizer, parameter)
    assert check_resettable(optimizer, parameter) is None


def test_reset_of_an_optimizer_without_state_does_nothing():
    parameter = nn.Parameter(torch.ones(2, 2))
    optimizer = torch.optim.Adam([parameter])
    reset_state(optimizer, parameter, torch.ones(2, 2).bool())
    assert not optimizer.state
    assert torch.equal(parameter, torch.ones(2, 2))


@pytest.mark.parametrize(
    ("initializer", "message"),
    [
        (lambda t, generator: torch.zeros(5), r"\(5,\).*\(2, 3\)"),
        (lambda t, generator: 3, "int.*return a tensor"),
        (lambda t, generator: t.fill_(math.inf), "NaN or infinity"),
    ],
    ids=["shape", "type", "infinite"],
)
def test_bad_draw_is_refused(initializer, message):
    with pytest.raises(ValueError, match=message):
        draw_like(torch.ones(2, 3), initializer, generator())


def embedding(**options):
    return {"a": nn.Embedding(5, 2, **options)}


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_the_row_of_the_padding_is_neither_counted_nor_selected(scope):
    layers = embedding(padding_idx=-2)
    scores = {"a": torch.arange(10.0).view(5, 2), "b": torch.full((2,), -1.0)}
    mask = select_top_k(scores, 50, scope, trained_rows(layers))["a"]
    rows = [[False, False], [False, False], [True, True], [False, False], [True, True]]
    if scope == "global":  # half of 10, not of 12
        rows[1][1] = True
    assert mask.tolist() == rows


def test_without_a_padding_all_rows_of_an_embedding_are_trained():
    assert trained_rows(embedding()) == {}
    assert trained_rows({"a": nn.Linear(2, 3)}) == {}


def test_draws_do_not_follow_a_default_device():
    net = NeuralNet(nn.Identity, nn.MSELoss)
    with torch.device("meta"):
        drawn = draw_like(torch.ones(2, 3, device="cpu"), "normal", generator(1))
        trained_rows(embedding(padding_idx=0))
        random_scores({"a": nn.Linear(2, 3)}, generator())
        select_top_k({"a": torch.ones(3, device="cpu")}, 50, "layer")
        samples = draw_samples([(0.5, 1)] * 9, 4, generator())
        inputs, _ = to_batch(net, samples)
    assert torch.equal(drawn, draw_like(torch.ones(2, 3), "normal", generator(1)))
    assert inputs.tolist() == [0.5] * 4


@pytest.mark.parametrize("initializer", INITIALIZERS)
def test_draws_do_not_follow_autocast(initializer):
    weight = torch.ones(4, 6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        drawn = draw_like(weight, initializer, generator(1))
    assert torch.equal(drawn, draw_like(weight, initializer, generator(1)))
