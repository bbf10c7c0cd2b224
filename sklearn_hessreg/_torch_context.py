"""torch's contexts around a call, such as autocast, kept out of what is computed."""

from contextlib import ExitStack, contextmanager

import torch


@contextmanager
def plain_torch(device):
    """Compute as outside of inference mode, autocast and a default device not `device`.

    The grad mode is left as it is, which in inference mode is off.
    """
    device = torch.device(device)
    # each is left only where it is on: entering takes as long as a small prediction,
    # and under a default device every call of torch takes longer
    kinds = [kind for kind in {"cpu", device.type} if _is_autocast(kind)]
    # asked of a new tensor: torch 2.6's get_default_device does not know `with device`
    moved = torch.empty(0).device not in (device, torch.device("cpu"))
    if not (kinds or moved or torch.is_inference_mode_enabled()):
        yield
        return
    grad = torch.is_grad_enabled()
    with ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.set_grad_enabled(grad))  # the line above set it
        for kind in kinds:
            stack.enter_context(torch.autocast(kind, enabled=False))
        if moved:
            stack.enter_context(device)
        yield


def _is_autocast(kind):
    """Tell whether autocast is on for a kind of device."""
    return torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
