"""What is measured on the validation samples after an epoch, and by what."""

from numbers import Real

import torch

from sklearn_hessreg._training._sharded import gather_outputs


def record_scores(net, valid):
    """Record the head's score of the validation samples, and that of `spec.scoring`."""
    spec = net.spec
    outputs, target, weight = zip(*net.validated_, strict=True)
    outputs, target = torch.cat(outputs), torch.cat(target)
    weight = None if weight[0] is None else torch.cat(weight)
    if net.ranks_ is not None:
        parts = outputs, target, weight
        outputs, target, weight = gather_outputs(net, parts)
    net.validated_ = []
    score = spec.head.score(outputs, target, weight)
    net.history.record(spec.head.score_column, score)
    if spec.scoring == "loss":
        weight = _with_class_weight(spec, target, weight)
        loss = net.reported(net.get_loss(outputs, (target, weight)))
        net.history.record(spec.score_column, -loss.item())
    elif spec.scoring is not None:
        net.history.record(spec.score_column, _score_by_user(net, valid))


def _with_class_weight(spec, target, weight):
    """Multiply the samples' weights with those of their classes, as training does."""
    if spec.class_weight is None:
        return weight
    classes = target.long().view(len(target))
    by_class = torch.tensor(spec.class_weight, dtype=spec.torch_dtype)
    by_class = by_class.to(target.device)[classes]
    return by_class if weight is None else weight * by_class


def _score_by_user(net, valid):
    """Return what the user's scorer says of the net."""
    weight = None if valid.weight is None else valid.weight.numpy()
    X = valid.X.numpy() if isinstance(valid.X, torch.Tensor) else valid.X
    X = X if valid.rows is None else X[valid.rows]
    score = net.scorer_(net, X, valid.y, weight)
    if not isinstance(score, Real):
        raise ValueError(
            f"scoring={net.spec.scoring!r} returned {score!r}, which is no number. Use "
            "a scorer's name, or a callable scorer(estimator, X, y) that returns one."
        )
    return float(score)
