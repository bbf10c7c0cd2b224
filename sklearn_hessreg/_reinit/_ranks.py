"""Communication between the processes that train one net, except for the scores."""

from torch.utils.data import IterableDataset

from sklearn_hessreg._hessian import (
    ALONE,
    describe_arguments,
    describe_module,
    describe_samples,
    ranks_of,
)
from sklearn_hessreg._reinit._samples import to_batch, two_samples


def ranks_in(rows):
    """Return the processes that take part, given the callback's parameter `rows`."""
    return ALONE if rows is None else ranks_of()


def check_begin(ranks, method, net, dataset):
    """Refuse, before the first epoch, ranks that would not train one net."""

    def describe():
        described = _describe(method, net.module_)
        if method.rows == "sharded" or method.importance in ("magnitude", "random"):
            return described
        size = None if isinstance(dataset, IterableDataset) else len(dataset)
        return described | describe_samples(to_batch(net, two_samples(dataset)), size)

    ranks.agree("the first epoch", describe)


def align(ranks, method, module, generator):
    """Refuse weights that differ; take the first rank's buffers and generator."""
    ranks.agree("an event", lambda: _describe(method, module))
    ranks.broadcast(module.buffers())
    states = ranks.gather("the generator", generator.get_state)
    generator.set_state(states[0])


def share_epoch(ranks, module, read_score):
    """Average the monitored value, if any, and take the first rank's buffers."""
    scores = ranks.gather("the end of an epoch", read_score)
    ranks.broadcast(module.buffers())
    return None if None in scores else sum(scores) / len(scores)


def synchronised(ranks, scorer, module, **options):
    """Score on all ranks, and take the first rank's scores."""
    found = ranks.attempt("the importance", lambda: scorer(module, **options))
    scores = {name: S.clone() for name, S in found.items()}
    ranks.broadcast(scores.values())
    return scores


def _describe(method, module):
    """Describe the weights and the hyperparameters, with functions by name."""
    values = method.get_params()
    del values["random_state"]  # the generator is shared
    arguments = {
        name: getattr(value, "__qualname__", type(value).__name__)
        if callable(value)
        else value
        for name, value in values.items()
    }
    return describe_arguments(arguments) | describe_module(module, buffers=False)
