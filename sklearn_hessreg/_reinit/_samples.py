"""The training samples that weights are scored on: draw them, make one batch."""

from functools import partial
from itertools import islice

import torch
from skorch.dataset import unpack_data
from torch.utils.data import DataLoader, IterableDataset, Subset


def draw_samples(dataset, count, generator):
    """Draw `count` samples of a dataset; None takes all of them, without a draw."""
    if isinstance(dataset, IterableDataset):
        return _draw_from_stream(_restart(dataset), count, generator)[0]
    n_samples = len(dataset)
    if count is None or count >= n_samples:
        return Subset(dataset, list(range(n_samples)))
    drawn = torch.randperm(n_samples, generator=generator, device="cpu")
    return Subset(dataset, drawn[:count].tolist())


def draw_from_all_ranks(ranks, dataset, count, generator):
    """Draw `count` samples of all ranks' datasets, joined in rank order.

    All ranks get these samples; no other samples leave their rank.
    """
    candidates, size = dataset, None
    if isinstance(dataset, IterableDataset):
        draw = partial(_shuffle_stream, dataset, count, generator, ranks.rank)
        candidates, size = ranks.attempt("drawing samples", draw)
    sizes = ranks.gather(
        "counting samples", lambda: len(dataset) if size is None else size
    )
    drawn = torch.arange(sum(sizes), device="cpu")
    if count is not None and count < len(drawn):
        drawn = torch.randperm(len(drawn), generator=generator, device="cpu")[:count]
    own = drawn - sum(sizes[: ranks.rank])
    own = own[(own >= 0) & (own < sizes[ranks.rank])].tolist()
    if candidates is not dataset:
        own = range(len(own))  # they are already in random order
    parts = ranks.gather("samples", lambda: [candidates[i] for i in own])
    return [sample for part in parts for sample in part]


def _shuffle_stream(dataset, count, generator, rank):
    """Draw samples of a rank's stream in random order, and count the whole stream."""
    (seed,) = torch.randint(2**62, (1,), generator=generator, device="cpu").tolist()
    own = torch.Generator(device="cpu").manual_seed(seed + rank)
    drawn, seen = _draw_from_stream(_restart(dataset), count, own)
    order = torch.randperm(len(drawn), generator=own, device="cpu").tolist()
    return [drawn[i] for i in order], seen


def two_samples(dataset):
    """Take the first and the last sample, or the first two of a stream."""
    if isinstance(dataset, IterableDataset):
        return list(islice(_restart(dataset), 2))
    return Subset(dataset, [0, len(dataset) - 1])


def _restart(dataset):
    """Begin a pass over a dataset without indices, which must allow further passes."""
    samples = iter(dataset)
    if samples is iter(dataset):
        raise ValueError(
            f"{type(dataset).__name__} gives the same iterator each time, so samples "
            "taken for the Hessian would be lost for training. Let its __iter__ begin "
            "anew, as a generator function does, or use importance='magnitude' or "
            "'random', which need no samples."
        )
    return samples


def _draw_from_stream(samples, count, generator):
    """Draw samples uniformly from one pass, and count the whole pass."""
    drawn = list(islice(samples, count))
    seen = len(drawn)
    for seen, sample in enumerate(samples, start=len(drawn) + 1):
        place = torch.randint(seen, (), generator=generator, device="cpu").item()
        if place < len(drawn):
            drawn[place] = sample
    return drawn, seen


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
