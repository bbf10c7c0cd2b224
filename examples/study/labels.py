"""What pictures call arms and data sets: words that a reader knows."""

from study.rivals import TITLES

DATASETS = {
    **TITLES,
    "labels": "labels that change their meaning",
    "pixels": "pixels that change their places",
}
_WORDS = {
    "none": "plain training",
    "ours": "highest scores",
    "random": "random weights",
    "magnitude": "largest weights",
    "dropout": "dropout",
    "weight_decay": "weight decay",
    "tuned": "tuned",
    "per_sample": "Hessian per sample",
    "reset": "optimizer reset",
    "unit": "whole units",
    "every=auto": "every 100 batches",
}


def share(n, k):
    """Say how much is redrawn."""
    return f"{k} % of the last {f'{n} layers' if int(n) > 1 else 'layer'}"


def label(arm):
    """Say what an arm does; where nothing is said of it, after every epoch."""
    words = arm.split()
    values = dict(word.split("=") for word in words if word[:2] in ("n=", "k="))
    said = [_WORDS[word] for word in words if word[:2] not in ("n=", "k=")]
    return ", ".join([said[0], *([share(**values)] if values else []), *said[1:]])


def who(arm):
    """Say what an arm does, but not how much of it."""
    return label(" ".join(word for word in arm.split() if "=" not in word))
