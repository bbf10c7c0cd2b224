"""torch's contexts around a call, such as autocast, kept out of what is computed."""

from contextlib import ExitStack, contextmanager

import torch


@contextmanager
def plain_torch(device):
    """Compute as outside of inference mode, autocast and a default device not `device`.

    The grad mode is left as it is, which in inference mode is off.
    """
    device = torch.device(device)
    grad = torch.is_grad_enabled()
    with ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.set_grad_enabled(grad))  # the line above set it
        for kind in {"cpu", device.type}:
            if torch.amp.is_autocast_available(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        # entered only if need be, because every call of torch takes longer under it
        if torch.get_default_device() not in (device, torch.device("cpu")):
            stack.enter_context(device)
        yield
