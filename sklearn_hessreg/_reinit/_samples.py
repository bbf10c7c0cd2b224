"""The training samples that weights are scored on: drawn, and made one batch."""

from itertools import islice

import torch
from skorch.dataset import unpack_data
from torch.utils.data import DataLoader, IterableDataset, Subset


def draw_samples(dataset, count, generator):
    """Draw so many samples of a dataset; all of them, without a draw, for None."""
    if isinstance(dataset, IterableDataset):
        return _draw_from_stream(_restart(dataset), count, generator)
    n_samples = len(dataset)
    if count is None or count >= n_samples:
        return Subset(dataset, list(range(n_samples)))
    drawn = torch.randperm(n_samples, generator=generator, device="cpu")
    return Subset(dataset, drawn[:count].tolist())


def two_samples(dataset):
    """Take the first sample and the last; of a stream the first two."""
    if isinstance(dataset, IterableDataset):
        return list(islice(_restart(dataset), 2))
    return Subset(dataset, [0, len(dataset) - 1])


def _restart(dataset):
    """Begin a pass over a dataset without indices, which must allow another one."""
    samples = iter(dataset)
    if samples is iter(dataset):
        raise ValueError(
            f"{type(dataset).__name__} gives the same iterator each time, so samples "
            "taken for the Hessian would be lost for training. Let its __iter__ begin "
            "anew, as a generator function does, or use criterion='magnitude' or "
            "'random', which need no samples."
        )
    return samples


def _draw_from_stream(samples, count, generator):
    """Draw samples of one pass such that each is as likely as any other."""
    drawn = list(islice(samples, count))
    for seen, sample in enumerate(samples, start=len(drawn) + 1):
        place = torch.randint(seen, (), generator=generator, device="cpu").item()
        if place < len(drawn):
            drawn[place] = sample
    return drawn


def to_batch(net, samples):
    """Return the inputs and targets of samples as one batch of the net's iterator."""
    options = {**net.get_params_for("iterator_valid"), "batch_size": len(samples)}
    iterator = net.iterator_valid
    if isinstance(iterator, type) and issubclass(iterator, DataLoader):
        # it draws a seed for its workers, from the global generator by default
        options["generator"] = torch.Generator(device="cpu")
    with torch.device("cpu"):  # DataLoader makes that seed on the default device
        (batch,) = iterator(samples, **options)
    return unpack_data(batch)
