"""hessian_scores neither feels torch's contexts nor leaves a trace in the process."""

import contextlib
import copy
import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from networks import NETWORKS, Counter, prepare, weighted
from torch import nn
from torch.nn import functional as F

from sklearn_hessreg import hessian_scores
from sklearn_hessreg._hessian import _twice_differentiable, weight_layers


def make(dtype=torch.float32):
    """Make a network with batch norm and dropout, samples and labels."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(
            *(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout()),
            nn.Linear(6, 3),
        )
        return net.to(dtype), torch.randn(8, 4, dtype=dtype), torch.arange(8) % 3


def encoder(padded):
    """Make a transformer that would take torch's fast paths, and its arguments."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = nn.TransformerEncoderLayer(4, 2, 6, batch_first=True)
        net = nn.TransformerEncoder(layer, 1)
        inputs = {"src": torch.randn(3, 5, 4)}
        if padded:
            inputs["src_key_padding_mask"] = torch.arange(5) > torch.tensor(
                [[4], [2], [3]]
            )
    return net.eval().double(), {**inputs, "src": inputs["src"].double()}


CONTEXTS = {
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "inference mode": torch.inference_mode,
    "no_grad": torch.no_grad,
    "default device": lambda: torch.device("meta"),
}


@pytest.mark.parametrize("curvature", ["mean_loss", "per_sample"])
@pytest.mark.parametrize("context", CONTEXTS)
def test_scores_do_not_depend_on_the_context_around(context, curvature):
    net, X, y = make()
    options = {"n": 2, "curvature": curvature}
    expected = hessian_scores(net, F.cross_entropy, X, y, **options)
    with CONTEXTS[context]():
        scores = hessian_scores(net, F.cross_entropy, X, y, **options)
    assert all(torch.equal(scores[name], S) for name, S in expected.items())


def test_tensors_made_in_inference_mode_can_be_scored():
    net, X, y = make()
    weight = torch.tensor([1.0, 2.0, 3.0])
    expected = hessian_scores(net, nn.CrossEntropyLoss(weight), X, y, n=2)
    with torch.inference_mode():
        net, X, y = make()
        loss = nn.CrossEntropyLoss(torch.tensor([1.0, 2.0, 3.0]))
        scores = hessian_scores(net, loss, X, y, n=2)
    assert all(torch.equal(scores[name], S) for name, S in expected.items())


@pytest.fixture
def no_switches(monkeypatch):
    """Fail if a switch of the whole process is touched."""

    def touched(*_):
        raise AssertionError("a switch of the whole process is touched")

    monkeypatch.setattr(torch.backends.mha, "set_fastpath_enabled", touched)
    for kind in ("flash", "mem_efficient", "math", "cudnn"):
        monkeypatch.setattr(torch.backends.cuda, f"enable_{kind}_sdp", touched)
    monkeypatch.setattr(torch._C, "_set_sdp_use_flash", touched)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("curvature", ["mean_loss", "per_sample"])
def test_transformer_is_scored_without_a_switch_of_the_process(
    padded, curvature, no_switches
):
    net, inputs = encoder(padded)
    scores = hessian_scores(
        *(net, lambda z, _: z.square().square().mean(), inputs, None),
        layers=["layers.0.linear1"],
        curvature=curvature,
    )
    assert all((S > 0).any() for S in scores.values())


@pytest.mark.parametrize("masked", [False, True])
def test_attention_by_its_formula_is_torchs_own(masked):
    net, _ = encoder(False)
    x = torch.randn(2, 5, 4, dtype=torch.float64).requires_grad_()
    mask = torch.zeros(2, 5, dtype=torch.bool)
    mask[:, 3:] = masked
    mask[1] = masked  # nothing left to attend to
    attention = net.layers[0].self_attn
    options = {"key_padding_mask": mask, "need_weights": False}
    expected, _ = attention(x, x, x, **options)
    with _twice_differentiable.TwiceDifferentiable():
        result, weights = attention(x, x, x, **options)
    assert weights is None
    torch.testing.assert_close(result, expected, rtol=1e-12, atol=1e-14)


def in_threads(function, count=8):
    """Call a function in `count` threads at once and return what each returned."""
    barrier = threading.Barrier(count)

    def together(_):
        barrier.wait()
        return function()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(together, range(count)))


def test_one_module_scored_in_threads_gives_the_serial_scores_to_the_bit():
    net, X, y = make()
    net.train()
    expected = hessian_scores(net, F.cross_entropy, X, y, n=2)

    def score():
        return [
            hessian_scores(net, F.cross_entropy, X, y, n=2)[name]
            for name in expected
            for _ in range(5)
        ]

    for scores in in_threads(score):
        for i, S in enumerate(scores):
            assert torch.equal(S, expected[["0", "4"][i // 5]])
    assert all(m.training for m in net.modules())
    assert all(type(p) is nn.Parameter for p in net.parameters())


def test_networks_that_share_a_layer_are_scored_in_threads_to_the_bit():
    net, X, y = make()
    nets = [nn.Sequential(*net) for _ in range(8)]
    expected = hessian_scores(net, F.cross_entropy, X, y, n=2)
    queue = iter(nets)
    for scores in in_threads(
        lambda: hessian_scores(next(queue), F.cross_entropy, X, y, n=2)
    ):
        assert all(torch.equal(scores[name], S) for name, S in expected.items())


def test_prediction_beside_scoring_does_not_enter_the_scores():
    net, X, y = make()
    net.eval()
    expected = hessian_scores(net, F.cross_entropy, X, y, n=2)
    scoring = threading.get_ident()

    def predict_in_a_thread(*_):
        if threading.get_ident() == scoring:
            in_threads(lambda: net(X), 1)

    net[0].register_forward_hook(predict_in_a_thread)
    scores = hessian_scores(net, F.cross_entropy, X, y, n=2)
    assert all(torch.equal(scores[name], S) for name, S in expected.items())


def test_other_modules_do_not_wait():
    net, X, y = make()
    other, _, _ = make()

    def loss(outputs, targets):
        # scored in a thread while this one holds its own module
        (found,) = in_threads(
            lambda: hessian_scores(other, F.cross_entropy, X, targets), 1
        )
        return F.cross_entropy(outputs, targets) + 0 * found["4"].sum()

    assert hessian_scores(net, loss, X, y)


def test_a_loss_may_score_the_same_module():
    net, X, y = make()

    def loss(outputs, targets):
        hessian_scores(net, F.cross_entropy, X, targets)
        return F.cross_entropy(outputs, targets)

    expected = hessian_scores(net, F.cross_entropy, X, y)["4"]
    assert torch.equal(hessian_scores(net, loss, X, y)["4"], expected)


def score_with_one_torch_thread(net, X, y):
    """Score in a forked process, where torch's own threads are gone."""
    torch.set_num_threads(1)
    hessian_scores(net, F.cross_entropy, X, y)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_forked_process_does_not_wait_for_a_thread_of_its_parent():
    net, X, y = make()
    child = multiprocessing.get_context("fork").Process(
        target=score_with_one_torch_thread, args=(net, X, y)
    )
    held, release = threading.Event(), threading.Event()

    def hold():
        with contextlib.ExitStack() as stack:
            for lock in _twice_differentiable._locks_of(net):
                stack.enter_context(lock)
            held.set()
            release.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    child.start()
    child.join(60)  # scoring takes some milliseconds
    release.set()
    thread.join()
    child.kill()
    child.join()
    assert child.exitcode == 0


def test_buffers_and_spectral_norm_come_back_as_they_were():
    net, X, y = prepare(
        lambda: nn.Sequential(
            *(nn.utils.parametrizations.spectral_norm(nn.Linear(4, 5)), nn.Tanh()),
            *(Counter(), nn.Linear(5, 3)),
        )
    )
    before = copy.deepcopy(net.state_dict())
    hessian_scores(net.train(), weighted, X, y)
    assert all(torch.equal(a, before[key]) for key, a in net.state_dict().items())


@pytest.mark.parametrize("network", ["convolutions, gelu", "attention over features"])
@pytest.mark.parametrize("curvature", ["mean_loss", "per_sample"])
def test_any_network_comes_back_as_it_was(network, curvature):
    net, X, y = prepare(NETWORKS[network])
    net.train()
    before = copy.deepcopy(net.state_dict())
    seen = []
    handle = net[-1] if isinstance(net, nn.Sequential) else net.last
    handle = handle.register_forward_hook(lambda *_: seen.append(1))
    rng = torch.get_rng_state()
    layers = ["embed", "last"] if hasattr(net, "embed") else weight_layers(net)
    hessian_scores(net, weighted, X, y, layers=layers, curvature=curvature)
    assert all(torch.equal(a, before[key]) for key, a in net.state_dict().items())
    assert all(m.training for m in net.modules())
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
    assert [len(m._forward_hooks) for m in net.modules()].count(1) == 1
    assert torch.equal(torch.get_rng_state(), rng)
    assert torch.backends.mha.get_fastpath_enabled()
    handle.remove()
