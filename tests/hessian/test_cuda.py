"""hessian_scores on a GPU, where there is one."""

import pytest
import torch
from networks import NETWORKS, prepare
from torch.nn import functional as F

from sklearn_hessreg import hessian_scores
from sklearn_hessreg._hessian import _streamed

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="there is no CUDA device"
)


@pytest.mark.parametrize("curvature", ["mean_loss", "per_sample"])
@pytest.mark.parametrize(
    "network", ["batch norm, dropout", "convolutions, relu", "residual, LayerNorm"]
)
def test_scores_on_the_gpu_equal_those_on_the_cpu_in_float64(network, curvature):
    net, X, y = prepare(NETWORKS[network])
    expected = hessian_scores(net, F.cross_entropy, X, y, n=2, curvature=curvature)
    scores = hessian_scores(
        net.cuda(), F.cross_entropy, X.cuda(), y.cuda(), n=2, curvature=curvature
    )
    for name, S in scores.items():
        assert S.device.type == "cuda"
        torch.testing.assert_close(
            S.cpu(),
            expected[name],
            rtol=1e-10,
            atol=1e-10 * expected[name].max().item(),
        )


def test_tiles_are_streamed_without_waiting_for_the_gpu(monkeypatch):
    net, X, y = prepare(NETWORKS["batch norm, dropout"])
    stream_unit = _streamed._stream_unit
    calls = []

    def watched(*args):
        calls.append(1)
        torch.cuda.set_sync_debug_mode("error")
        try:
            return stream_unit(*args)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(_streamed, "_stream_unit", watched)
    hessian_scores(net.cuda(), F.cross_entropy, X.cuda(), y.cuda(), layers=["0"])
    assert calls
