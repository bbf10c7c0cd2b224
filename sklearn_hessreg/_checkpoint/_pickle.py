"""Pickles of states, in which tensors are arrays on a device."""

import pickle

import numpy as np
import torch

_OTHERS = {torch.bfloat16, torch.complex32}  # numpy has no such types


class _Pickler(pickle.Pickler):
    """Write tensors as arrays, many times faster than torch does, and views alone."""

    def reducer_override(self, value):
        """Reduce a dense tensor; leave all else to its own ways."""
        if type(value) is not torch.Tensor or not _is_plain(value):
            return NotImplemented
        array = value.detach().cpu().numpy()
        return _to_tensor, (array, str(value.device), value.requires_grad)


def _is_plain(tensor):
    """Tell if numpy can hold a tensor."""
    dense = tensor.layout == torch.strided and not tensor.is_quantized
    known = tensor.dtype not in _OTHERS and not str(tensor.dtype).count("float8")
    lazy = tensor.is_conj() or tensor.is_neg()
    return dense and known and not lazy and tensor.device.type in ("cpu", "cuda")


def _to_tensor(array, device, requires_grad):
    """Make a tensor of an array again, in memory of its own."""
    tensor = torch.from_numpy(np.array(array)).to(device)
    return tensor.requires_grad_(requires_grad)


def dump(state, file):
    """Pickle a state into an open file."""
    _Pickler(file, protocol=5).dump(state)
