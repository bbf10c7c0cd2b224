"""Adam with torch's private kernel, and without it."""

import numpy as np
import pytest
import torch
from training_cases import DATA, make_spec

from sklearn_hessreg._training import train


@pytest.mark.parametrize("max_iter", [1, 12])
def test_without_the_private_kernel_torchs_public_step_gives_the_same_weights(
    max_iter, monkeypatch
):
    spec = make_spec(max_iter=max_iter, alpha=0.1)
    with_kernel, without = [], []
    for weights, kernel in ((with_kernel, True), (without, False)):
        if not kernel:
            monkeypatch.setattr("sklearn_hessreg._training._adam.FUSED", None)
        net = train(spec, DATA, None, np.random.RandomState(0))
        weights += [p.detach() for p in net.module_.parameters()]
    for one, two in zip(with_kernel, without, strict=True):
        assert torch.equal(one, two)
