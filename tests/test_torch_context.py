"""plain_torch: what is computed inside does not know the contexts around."""

from contextlib import nullcontext

import pytest
import torch

from sklearn_hessreg._torch_context import plain_torch

CONTEXTS = {
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "inference mode": torch.inference_mode,
    "default device": lambda: torch.device("meta"),
    "nothing": nullcontext,
}


@pytest.mark.parametrize("context", CONTEXTS)
def test_inside_tensors_are_as_in_a_fresh_process(context):
    with CONTEXTS[context](), plain_torch("cpu"):
        y = torch.ones(2, 2) @ torch.ones(2, 2)
    assert (y.device.type, y.dtype) == ("cpu", torch.float32)
    assert not y.is_inference()


@pytest.mark.parametrize("context", CONTEXTS)
def test_outside_the_context_is_as_it_was(context):
    def state():
        return (
            torch.is_autocast_enabled("cpu"),
            torch.is_inference_mode_enabled(),
            torch.is_grad_enabled(),
            torch.get_default_device(),
        )

    with CONTEXTS[context]():
        before = state()
        with plain_torch("cpu"):
            pass
        assert state() == before


@pytest.mark.parametrize("context", [torch.no_grad, torch.enable_grad])
def test_grad_mode_is_the_callers(context):
    with context():
        before = torch.is_grad_enabled()
        with plain_torch("cpu"):
            assert torch.is_grad_enabled() == before


def test_without_contexts_no_mode_slows_the_calls():
    with plain_torch("cpu"):
        assert torch._C._len_torch_function_stack() == 0
