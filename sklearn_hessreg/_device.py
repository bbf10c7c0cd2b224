"""Which torch device is meant, and whether it is there."""

import torch


def check_device(device):
    """Return the torch device, after a try; "auto" is CUDA where there is one."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        probe = torch.zeros((), device=device)
        probe.item()
        return probe.device
    # a device that is not there raises one or the other, an unknown name the first
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device={device!r} cannot be used here: {error} Use 'cpu', or 'auto' for "
            "CUDA where there is one."
        ) from error
