"""HessianReinit on skorch nets of one's own."""

import copy
import math
import threading
from functools import partial

import numpy as np
import pytest
import torch
from networks import Recurrent, Standardise
from settings import PAPER
from sklearn import config_context
from skorch import NeuralNet, NeuralNetClassifier
from skorch.callbacks import Callback
from skorch.history import History
from torch import nn

from sklearn_hessreg import HessianReinit, hessian_scores
from sklearn_hessreg._reinit._samples import draw_samples

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5)).astype("float32")
Y = (X[:, 0] + X[:, 1] > 0).astype("int64")
every_epoch = partial(HessianReinit, **PAPER, reinit_every=1, monitor="train_loss")


class Net(nn.Module):
    """A small network with a smooth tail."""

    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(5, 8)
        self.out = nn.Linear(8, 2)

    def forward(self, x):
        return self.out(torch.nn.functional.gelu(self.hidden(x)))


class Watch(Callback):
    """Keep the weights at the end of each epoch and at the first batch of the next."""

    def initialize(self):
        self.pairs_, self.end_ = [], None
        return self

    def on_batch_begin(self, net, training=False, **kwargs):
        if self.end_ is not None and training:
            now = copy.deepcopy(net.module_.state_dict())
            moments = copy.deepcopy(net.optimizer_.state_dict())
            self.pairs_.append((self.end_, now, self.moments_, moments))
            self.end_ = None

    def on_epoch_end(self, net, **kwargs):
        self.end_ = copy.deepcopy(net.module_.state_dict())
        self.moments_ = copy.deepcopy(net.optimizer_.state_dict())


def fit(reinit, module=Net, epochs=3, **options):
    """Train a net with the callback and a watch behind it."""
    torch.manual_seed(0)
    options = {"optimizer": torch.optim.Adam, "lr": 0.01, **options}
    net = NeuralNetClassifier(
        module,
        criterion=nn.CrossEntropyLoss,
        max_epochs=epochs,
        batch_size=20,
        train_split=None,
        verbose=0,
        callbacks=[("reinit", reinit), ("watch", Watch())],
        **options,
    )
    return net.fit(X, Y)


def plain_net(reinit, *callbacks, module=Net, **options):
    """Make a net with the callback and others behind it."""
    torch.manual_seed(0)
    options = {"criterion": nn.CrossEntropyLoss, "train_split": None, **options}
    callbacks = [("reinit", reinit), *callbacks]
    return NeuralNetClassifier(module, verbose=0, callbacks=callbacks, **options)


def weights(net):
    return torch.cat([p.detach().flatten() for p in net.module_.parameters()])


def pairs(net):
    return dict(net.callbacks_)["watch"].pairs_


def history(net):
    return dict(net.callbacks_)["reinit"].reinit_history_


def test_exactly_the_top_scores_are_redrawn_and_all_else_is_untouched():
    net = fit(every_epoch(k=10, n=2, hessian_samples=None, initializer="zeros"))
    inputs, targets = torch.from_numpy(X), torch.from_numpy(Y)
    for end, begin, *_ in pairs(net):
        module = Net()
        module.load_state_dict(end)
        scores = hessian_scores(module, nn.CrossEntropyLoss(), inputs, targets, n=2)
        for name, S in scores.items():
            count = math.ceil(S.numel() / 10)
            top = torch.zeros(S.numel(), dtype=torch.bool)
            top[S.flatten().topk(count).indices] = True
            old, new = end[f"{name}.weight"], begin[f"{name}.weight"]
            assert (new.flatten()[top] == 0).all()
            assert torch.equal(new.flatten()[~top], old.flatten()[~top])
            assert torch.equal(begin[f"{name}.bias"], end[f"{name}.bias"])


def test_n_1_leaves_the_hidden_layer_alone():
    for end, begin, *_ in pairs(fit(every_epoch(k=50, n=1))):
        assert torch.equal(end["hidden.weight"], begin["hidden.weight"])


def test_unit_redraws_whole_rows_and_zeroes_their_biases():
    net = fit(every_epoch(k=25, n=2, granularity="unit", initializer="zeros"))
    for end, begin, *_ in pairs(net):
        rows = (begin["hidden.weight"] == 0).all(1)
        assert int(rows.sum()) == 2
        assert (begin["hidden.bias"][rows] == 0).all()
        assert torch.equal(begin["hidden.weight"][~rows], end["hidden.weight"][~rows])
        assert torch.equal(begin["hidden.bias"][~rows], end["hidden.bias"][~rows])


@pytest.mark.parametrize("optimizer_state", ["keep", "reset"])
def test_moments_are_kept_or_zeroed_at_the_redrawn_weights_only(optimizer_state):
    reinit = every_epoch(
        k=20, initializer="zeros", optimizer_state=optimizer_state, random_state=0
    )
    for _, begin, before, after in pairs(fit(reinit)):
        redrawn = begin["out.weight"] == 0
        old, new = (m["state"][2]["exp_avg"] for m in (before, after))
        assert torch.equal(new[~redrawn], old[~redrawn])
        expected = old[redrawn] if optimizer_state == "keep" else 0 * old[redrawn]
        assert torch.equal(new[redrawn], expected)


def test_k_0_trains_as_if_the_callback_were_not_there():
    plain = fit(every_epoch(k=0, hessian_samples=10))
    without = fit(Callback())
    for a, b in zip(
        plain.module_.parameters(), without.module_.parameters(), strict=True
    ):
        assert torch.equal(a, b)
    assert history(plain) == []


@pytest.mark.parametrize(
    ("options", "epochs"),
    [
        ({}, [2, 3, 4, 5, 6, 7]),
        ({"reinit_every": 2}, [3, 5, 7]),
        ({"reinit_until": 3}, [2, 3, 4]),
        ({"reinit_every": 3, "reinit_until": 5}, [4]),
    ],
)
def test_events_come_at_the_start_of_epochs_from_the_second_on(options, epochs):
    net = fit(every_epoch(**options), epochs=7)
    assert [record["epoch"] for record in history(net)] == epochs


def test_history_has_cycle_layer_count_overlap_shares_score_range_and_seconds():
    first, second, *_ = history(fit(every_epoch(n=2), epochs=4))[::2]
    assert first.keys() == {
        "epoch",
        "cycle",
        "monitored",
        "layer",
        "count",
        "overlap",
        "unit_share",
        "score_min",
        "score_max",
        "seconds",
    }
    assert (first["layer"], first["count"]) == ("hidden", 4)
    assert math.isnan(first["overlap"])
    assert second["overlap"] in (0, 0.25, 0.5, 0.75, 1)
    assert 0 <= second["score_min"] < second["score_max"]
    assert second["seconds"] > 0


@pytest.mark.parametrize(
    ("granularity", "module", "fan_in"),
    [("weight", Net, [5, 8]), ("unit", Net, [1, 1]), ("weight", "conv", [3, 6])],
)
def test_history_has_the_share_redrawn_of_each_unit(granularity, module, fan_in):
    module = conv_module if module == "conv" else module
    options = {"k": 30, "n": 2, "granularity": granularity, "initializer": "zeros"}
    net = fit(every_epoch(**options), module=module, epochs=2)
    ((_, after, _, _),) = pairs(net)
    for record, inputs in zip(history(net), fan_in, strict=True):
        redrawn = (after[f"{record['layer']}.weight"] == 0).flatten(1)
        assert torch.equal(
            torch.from_numpy(record["unit_share"]), redrawn.float().mean(1)
        )
        assert round(record["unit_share"].sum() * inputs) == record["count"]


def test_works_on_probabilities_and_skorchs_default_criterion():
    module = lambda: nn.Sequential(nn.Linear(5, 2), nn.Softmax(1))  # noqa: E731
    net = NeuralNetClassifier(
        module, max_epochs=2, verbose=0, callbacks=[("reinit", every_epoch())]
    ).fit(X, Y)
    assert len(history(net)) == 1


def test_works_on_dict_inputs():
    class TwoInputs(nn.Module):
        def __init__(self):
            super().__init__()
            self.out = nn.Linear(5, 2)

        def forward(self, a, b):
            return self.out(torch.cat([a, b], 1))

    net = plain_net(every_epoch(), module=TwoInputs, max_epochs=2)
    net.fit({"a": X[:, :2], "b": X[:, 2:]}, Y)
    assert len(history(net)) == 1


def test_frozen_layers_are_passed_over():
    class Frozen(Net):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(2, 2)
            self.head.weight.requires_grad_(False)

        def forward(self, x):
            return self.head(super().forward(x))

    net = fit(every_epoch(n=1), module=Frozen)
    assert {record["layer"] for record in history(net)} == {"out"}


def test_warm_start_goes_on_counting_epochs():
    net = fit(every_epoch(), epochs=2, warm_start=True)
    net.fit(X, Y)
    assert [record["epoch"] for record in history(net)] == [2, 3, 4]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 101}, "'k'.*101"),
        ({"k": -1}, "'k'.*-1"),
        ({"n": 0}, "'n'.*0"),
        ({"n": 3}, "n=3.*2 weight layers"),
        ({"initializer": "glorot"}, "'initializer'.*'glorot'"),
        ({"initializer": lambda t, generator: torch.zeros(3)}, r"\(3,\).*\(2, 8\)"),
        ({"importance": "gradient"}, "'importance'.*'gradient'"),
        ({"hessian_samples": 0}, "'hessian_samples'.*0"),
        ({"reinit_until": 0}, "'reinit_until'.*0"),
        ({"random_state": -1}, "'random_state'.*-1"),
    ],
)
def test_bad_parameter_is_refused_before_the_first_batch(options, message):
    batches = []

    class Count(Callback):
        def on_batch_begin(self, net, **kwargs):
            batches.append(1)

    net = plain_net(every_epoch(**options), Count())
    with pytest.raises(ValueError, match=message):
        net.fit(X, Y)
    assert batches == []


def conv_module():
    """A convolution that is not transposed, batch norm and dropout, a linear layer."""
    return nn.Sequential(
        *(nn.Unflatten(1, (1, 5)), nn.Conv1d(1, 2, 3), nn.BatchNorm1d(2), nn.ReLU()),
        *(nn.Dropout(0.2), nn.Flatten(), nn.Linear(6, 2)),
    )


@pytest.mark.parametrize("curvature", ["mean_loss", "per_sample"])
def test_highest_scores_of_a_convolution_are_redrawn(curvature):
    reinit = every_epoch(
        k=40, n=2, hessian_samples=None, curvature=curvature, initializer="zeros"
    )
    ((before, after, _, _),) = pairs(fit(reinit, module=conv_module, epochs=2))
    module = conv_module()
    module.load_state_dict(before)
    Xt, yt = (torch.tensor(part) for part in (X, Y))
    scores = hessian_scores(
        module, nn.functional.cross_entropy, Xt, yt, layers=["1"], curvature=curvature
    )
    top = scores["1"].flatten().topk(3).indices.sort().values
    redrawn = (after["1.weight"] == 0).flatten().nonzero()[:, 0]
    assert torch.equal(redrawn, top)


def test_unit_of_a_convolution_is_an_output_channel_with_its_bias():
    reinit = every_epoch(k=50, n=2, granularity="unit", initializer="zeros")
    ((_, after, _, _),) = pairs(fit(reinit, module=conv_module, epochs=2))
    zeros = [
        (after[f"1.{part}"] == 0).flatten(1 if part == "weight" else 0)
        for part in ("weight", "bias")
    ]
    assert zeros[0].all(1).sum() == 1
    assert torch.equal(zeros[0].all(1), zeros[1])


def test_units_of_a_transposed_convolution_are_refused_before_training():
    module = lambda: nn.Sequential(  # noqa: E731
        nn.Unflatten(1, (5, 1)), nn.ConvTranspose1d(5, 2, 1), nn.Flatten()
    )
    with pytest.raises(ValueError, match=r"ConvTranspose1d.*\(5, 2, 1\).*'weight'"):
        fit(every_epoch(granularity="unit"), module=module)
    assert len(history(fit(every_epoch(), module=module))) == 2


def test_layer_used_twice_is_scored_and_redrawn():
    net = plain_net(every_epoch(k=20, n=2), module=Recurrent, max_epochs=2)
    records = history(net.fit(X[:, :4], Y))
    assert [(r["layer"], r["count"]) for r in records] == [("step", 4), ("last", 3)]


class Words(nn.Module):
    """The mean of embedded words, and a layer without bias."""

    def __init__(self, **options):
        super().__init__()
        self.embedding = nn.Embedding(9, 4, **options)
        self.out = nn.Linear(4, 2, bias=False)

    def forward(self, x):
        return self.out(self.embedding(x).mean(1))


WORDS = RNG.integers(0, 9, (60, 5))


def test_units_of_layers_without_bias_are_redrawn():
    net = plain_net(every_epoch(n=2, granularity="unit"), module=Words).fit(WORDS, Y)
    assert {record["layer"] for record in history(net)} == {"embedding", "out"}


@pytest.mark.parametrize("granularity", ["weight", "unit"])
@pytest.mark.parametrize("importance", ["hessian", "magnitude", "random"])
def test_the_padding_of_an_embedding_keeps_its_values(importance, granularity):
    net = plain_net(
        every_epoch(k=100, n=2, importance=importance, granularity=granularity),
        module=Words,
        module__padding_idx=3,
    )
    net.fit(WORDS, Y)
    assert history(net)[0]["count"] == (8 if granularity == "unit" else 32)
    assert (net.module_.embedding.weight[3] == 0).all()
    assert (net.module_.embedding.weight[:3] != 0).all()


def test_a_frozen_bias_stays_as_it_is():
    class Frozen(Net):
        def __init__(self):
            super().__init__()
            self.out.bias.data.fill_(3)
            self.out.bias.requires_grad_(False)

    net = fit(every_epoch(k=100, granularity="unit"), module=Frozen)
    assert (net.module_.out.bias == 3).all()


def test_interacting_samples_are_refused_per_sample_before_training():
    module = lambda: nn.Sequential(nn.Linear(5, 2), Standardise())  # noqa: E731
    net = plain_net(every_epoch(curvature="per_sample"), module=module)
    with pytest.raises(ValueError, match=r"samples interact.*'mean_loss'"):
        net.fit(X, Y)
    assert "train_loss" not in net.history[-1]


def test_working_memory_is_scikit_learns():
    expected = history(fit(every_epoch(n=2, random_state=0), epochs=2))
    with config_context(working_memory=1e-4):
        records = history(fit(every_epoch(n=2, random_state=0), epochs=2))
    # sums of 60 samples and 40 weights in another order
    tolerance = (60 + 40) * 2**-23
    for record, other in zip(records, expected, strict=True):
        assert math.isclose(record["score_max"], other["score_max"], rel_tol=tolerance)


def test_infinite_scores_stop_the_training_before_any_redraw():
    class Overflow(nn.Module):
        def forward(self, z, y):
            # no loss, no gradient, but a curvature beyond float32
            return 3e38 * (z - z.detach()).square().mean()

    net = NeuralNet(
        Net, criterion=Overflow, lr=0, verbose=0, callbacks=[every_epoch(k=100)]
    ).initialize()
    before = copy.deepcopy(net.module_.state_dict())
    with pytest.raises(ValueError, match=r"'out' contain NaN or infinity.*Lower"):
        net.partial_fit(1000 * X, Y)
    for name, weight in net.module_.state_dict().items():
        assert torch.equal(weight, before[name])


class Cut(Callback):
    """Drop all rows of the history but the last, as one who returns to an epoch."""

    def on_epoch_end(self, net, **kwargs):
        net.history_ = History(net.history[-1:])


@pytest.mark.parametrize(
    "options", [{"reinit_every": 2}, {"tol": 0.05, "n_iter_no_change": 2}]
)
def test_events_do_not_depend_on_the_rows_of_the_history(options):
    whole, cut = (
        plain_net(every_epoch(**{"reinit_every": "plateau", **options}), *watch)
        .set_params(max_epochs=30, batch_size=20)
        .fit(X, Y)
        for watch in ([], [Cut()])
    )
    assert len(cut.history) == 1
    epochs = [record["epoch"] for record in history(whole)]
    assert epochs
    assert [record["epoch"] for record in history(cut)] == epochs


class Stop(Callback):
    """End the training after each epoch, as skorch's EarlyStopping does."""

    def on_epoch_end(self, net, **kwargs):
        raise KeyboardInterrupt


def test_an_epoch_that_a_callback_ends_the_training_with_is_counted():
    net = plain_net(every_epoch(reinit_every=4), batch_size=20)
    net.callbacks.insert(0, ("stop", Stop()))
    for _ in range(6):
        net.partial_fit(X, Y)
    assert [record["epoch"] for record in history(net)] == [5]


class Generators(Callback):
    """Record torch's global generator at the start of training and of each epoch."""

    def initialize(self):
        self.states_ = []
        return self

    def on_epoch_begin(self, net, **kwargs):
        self.states_.append(torch.get_rng_state())

    on_train_begin = on_epoch_begin


@pytest.mark.parametrize("importance", ["hessian", "magnitude", "random"])
def test_an_event_draws_nothing_from_the_global_generator(importance):
    net = plain_net(
        every_epoch(importance=importance, hessian_samples=10), ("after", Generators())
    )
    net.callbacks.insert(0, ("before", Generators()))
    parts = dict(net.fit(X, Y).callbacks_)
    assert len(history(net)) == 9
    for before, after in zip(
        parts["before"].states_, parts["after"].states_, strict=True
    ):
        assert torch.equal(before, after)


def test_what_other_threads_draw_during_an_event_does_not_repeat():
    drawn = []

    def draw():
        drawn.append(torch.rand(()).item())

    def draw_in_a_thread(module, names, **options):
        thread = threading.Thread(target=draw)
        thread.start()
        thread.join()
        return {"out": torch.ones(2, 8)}

    class Draw(Callback):
        def on_epoch_begin(self, net, **kwargs):
            draw()

    net = plain_net(every_epoch(importance=draw_in_a_thread), Draw(), max_epochs=4)
    net.fit(X, Y)
    assert len(drawn) == 8
    assert len(set(drawn)) == 8


def test_an_earlier_history_stays_as_it_was():
    net = plain_net(every_epoch(), max_epochs=2).fit(X, Y)
    kept, copied = history(net), copy.copy(dict(net.callbacks_)["reinit"])
    net.partial_fit(X, Y)
    assert len(kept) == len(copied.reinit_history_) == 1
    assert len(history(net)) == 3


def test_records_are_appended_to_one_list():
    net = plain_net(every_epoch(), max_epochs=2).fit(X, Y)
    records = dict(net.callbacks_)["reinit"].records_
    net.partial_fit(X, Y)
    assert dict(net.callbacks_)["reinit"].records_ is records
    assert len(records) == 3


@pytest.mark.parametrize("optimizer", [torch.optim.LBFGS, torch.optim.Adafactor])
def test_an_optimizer_that_cannot_forget_weights_is_refused_before_training(optimizer):
    net = plain_net(every_epoch(optimizer_state="reset"), optimizer=optimizer)
    with pytest.raises(ValueError, match=optimizer.__name__):
        net.fit(X, Y)
    assert not net.history
    net.set_params(callbacks__reinit__optimizer_state="keep", max_epochs=2)
    assert len(history(net.fit(X, Y))) == 1


def test_lazy_layers_get_their_shapes_before_training():
    module = lambda: nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.LazyLinear(2))  # noqa: E731
    net = plain_net(every_epoch(n=2, k=20), module=module, max_epochs=2).fit(X, Y)
    assert [(r["layer"], r["count"]) for r in history(net)] == [("0", 8), ("2", 4)]
    assert net.module_[2].weight.grad is not None


def test_lazy_layers_that_are_too_few_are_refused_before_training():
    net = plain_net(every_epoch(n=2), module=lambda: nn.Sequential(nn.LazyLinear(2)))
    with pytest.raises(ValueError, match=r"n=2.*1 weight layers"):
        net.fit(X, Y)
    assert "train_loss" not in net.history[-1]


class Stream(torch.utils.data.IterableDataset):
    """The training data without indices and length."""

    def __iter__(self):
        yield from zip(X, Y, strict=True)


def test_all_samples_of_a_stream_score_as_those_of_a_table():
    table, stream = (
        plain_net(every_epoch(n=2, random_state=0, hessian_samples=None)).fit(*data)
        for data in ((X, Y), (Stream(), None))
    )
    assert torch.equal(weights(table), weights(stream))


def test_a_stream_gives_other_samples_at_each_event():
    seen = []

    def watch(module, names, *, inputs, **options):
        seen.append(inputs)
        return {"out": torch.ones(2, 8)}

    plain_net(every_epoch(importance=watch, hessian_samples=10)).fit(Stream(), None)
    trial, first, second, *_ = seen
    assert torch.equal(trial, torch.from_numpy(X[:2]))
    assert first.shape == second.shape == (10, 5)
    assert not torch.equal(first, second)
    assert all((torch.from_numpy(X) == x).all(1).any() for x in first)


def test_samples_of_a_stream_are_equally_likely():
    generator = torch.Generator().manual_seed(0)
    draws = [draw_samples(Numbers(6), 2, generator) for _ in range(3000)]
    counts = np.bincount(np.ravel(draws), minlength=6)
    # binomial of 3000 draws with probability 1/3; 4.4 standard deviations
    bound = 4.4 * math.sqrt(3000 * 1 / 3 * 2 / 3)
    assert (abs(counts - 1000) < bound).all()
    assert all(len(set(draw)) == 2 for draw in draws)


class Numbers(torch.utils.data.IterableDataset):
    """The numbers from 0 to n - 1."""

    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return iter(range(self.n))


def test_a_stream_that_can_be_passed_once_is_refused_before_a_sample_is_lost():
    class Once(torch.utils.data.IterableDataset):
        rows = zip(X, Y, strict=True)

        def __iter__(self):
            return self.rows

    with pytest.raises(ValueError, match=r"Once gives the same iterator.*'magnitude'"):
        plain_net(every_epoch()).fit(Once(), None)
    assert len(list(Once.rows)) == 60


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # of torch
def test_a_compiled_net_is_scored_as_the_module_that_it_compiles():
    plain, compiled = (
        plain_net(every_epoch(n=2, random_state=0), **options).fit(X, Y)
        for options in ({}, {"compile": True, "compile__backend": "eager"})
    )
    assert torch.equal(weights(plain), weights(compiled))
    assert history(compiled)[0]["layer"] == "hidden"


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # of torch
def test_a_net_whose_compiled_loss_has_no_second_derivative_is_scored():
    net = plain_net(
        every_epoch(), compile=True, compile__backend="aot_eager", max_epochs=2
    ).fit(X, Y)
    assert len(history(net)) == 1


class Wrapped(torch.optim.Optimizer):
    """An optimizer inside of another one, as Accelerate has it."""

    def __init__(self, optimizer):
        self.optimizer = optimizer
        self.step, self.zero_grad = optimizer.step, optimizer.zero_grad

    state = property(lambda self: self.optimizer.state)
    param_groups = property(lambda self: self.optimizer.param_groups)
    defaults = property(lambda self: self.optimizer.defaults)


def wrapped_rprop(params, lr):
    return Wrapped(torch.optim.Rprop(params, lr=lr))


def test_the_state_of_an_optimizer_inside_of_another_one_is_reset():
    class AfterEvent(Callback):
        def on_epoch_begin(self, net, **kwargs):
            state = net.optimizer_.state.get(net.module_.out.weight, {})
            self.sizes = copy.deepcopy(state.get("step_size"))

    method = every_epoch(k=100, optimizer_state="reset")
    options = {"lr": 0.03, "max_epochs": 3}
    net = plain_net(method, AfterEvent(), optimizer=wrapped_rprop, **options)
    sizes = net.fit(X, Y).callbacks_[-2][1].sizes
    assert torch.equal(sizes, torch.full_like(sizes, 0.03))
