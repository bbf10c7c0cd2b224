"""What reinit_history_ says of an event."""

import math


def describe_event(cycles, scores, masks, before, seconds):
    """Make one record for each layer, at the start of the first epoch of a cycle.

    `before` are the masks of the previous event.
    """
    score = cycles.kept[-1]["score"]  # of the cycle that the event ended
    return [
        {
            "epoch": cycles.progress.epochs,
            "cycle": cycles.progress.cycles + 1,
            "monitored": math.nan if score is None else score,
            "layer": name,
            "count": int(mask.sum()),
            "overlap": _overlap(mask, before.get(name)),
            "unit_share": mask.reshape(len(mask), -1).float().mean(1).numpy(),
            "score_min": scores[name].min().item(),
            "score_max": scores[name].max().item(),
            "seconds": seconds,
        }
        for name, mask in masks.items()
    ]


def _overlap(mask, before):
    """Compute the share of the marked elements that were marked before."""
    count = int(mask.sum())
    # after a change of granularity there is nothing to compare with
    if before is None or before.shape != mask.shape or count == 0:
        return math.nan
    return int((mask & before).sum()) / count
