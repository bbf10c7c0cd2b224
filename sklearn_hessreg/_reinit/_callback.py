"""HessianReinit: when and where a skorch net re-initialises weights, and the record."""

import math
from dataclasses import asdict
from functools import partial
from numbers import Integral
from time import perf_counter
from typing import Any, Literal

import torch
from sklearn import get_config
from sklearn.utils._param_validation import Interval, validate_parameter_constraints
from skorch.callbacks import Callback
from skorch.utils import to_tensor

from sklearn_hessreg._hessian import (
    check_layers,
    score_layers,
    select_layers,
)
from sklearn_hessreg._reinit._criterion import (
    call_criterion,
    magnitudes,
    random_scores,
)
from sklearn_hessreg._reinit._layers import (
    check_units,
    of_weights,
    trainable_layers,
    trained_bias,
    trained_rows,
)
from sklearn_hessreg._reinit._module import (
    has_lazy_parameters,
    initialise_lazy_parameters,
    uncompiled,
)
from sklearn_hessreg._reinit._optimizer_state import check_resettable, reset_state
from sklearn_hessreg._reinit._parameters import (
    PARAMETER_CONSTRAINTS,
    document_parameters,
)
from sklearn_hessreg._reinit._record import describe_event
from sklearn_hessreg._reinit._redraw import (
    draw_like,
    reduce_units,
    select_top_k,
    write_masked,
)
from sklearn_hessreg._reinit._samples import draw_samples, to_batch, two_samples
from sklearn_hessreg._reinit._schedule import Progress, is_due
from sklearn_hessreg._typing import (
    Aggregation,
    Criterion,
    Curvature,
    Granularity,
    Initializer,
    OptimizerState,
    Scope,
)

KEPT_EVENTS = 1000  # of earlier trainings, in the record
_SEED = Interval(Integral, 0, 2**63 - 1, closed="both")


@document_parameters
class HessianReinit(Callback):
    """Re-initialise the weights of highest curvature between a skorch net's epochs.

    At the start of an epoch, but not of the first, the exact Hessian of the net's loss
    is reduced to one score per weight for each of the last ``n`` layers, and the top
    ``k`` percent of the weights are drawn anew. Nothing is re-initialised after the
    last update, so scores, checkpoints and the returned model see trained weights.

    Parameters
    ----------
    %(k)s
    %(n)s
    %(aggregation)s
    %(initializer)s
    %(granularity)s
    %(scope)s
    %(curvature)s
    %(criterion)s
    %(reinit_every)s
    %(reinit_until)s
    %(hessian_samples)s
    %(optimizer_state)s
    random_state : int, default=None
        Seed of all draws; None takes one from the operating system.

    Attributes
    ----------
    reinit_history_ : list of dict
        One record for each event and layer: ``epoch`` (the epoch that starts with it,
        counted from 1 since the net was initialised), ``layer``, ``count`` (weights or
        units redrawn), ``overlap`` (share of them also redrawn by the previous event,
        NaN where there is none), ``unit_share`` (float32 array: the share redrawn of
        each output unit's weights, or of each row of the weight of any other layer),
        ``score_min`` and ``score_max`` over the layer, ``seconds`` (of the whole event,
        all layers).

    Raises
    ------
    ValueError
        When training begins, if a parameter has a value that is not allowed, ``n`` is
        larger than the number of trainable weight layers, one of the last ``n`` cannot
        be scored (see :func:`hessian_scores`), the initializer's draw has another shape
        or is not finite, the criterion's function returns something else than scores,
        or the optimizer's state cannot be reset for single weights. At an event, if
        scores are not finite. No weight has been changed then.

    Notes
    -----
    The loss is the net's own ``get_loss`` with ``training=False`` on the outputs of
    ``module_`` in evaluation mode, without ``torch.compile``. All Hessian samples pass
    through the net as one batch of its ``iterator_valid``. Those of an
    ``IterableDataset`` are drawn in one more pass over it at each event. The row of an
    embedding's ``padding_idx``, which no training changes, takes no part and is not
    counted. Scoring keeps its temporaries within scikit-learn's ``working_memory`` (see
    :func:`sklearn.config_context`), as far as :func:`hessian_scores` can.

    References
    ----------
    Rahimi, Kodliuk, Benchekroun, "Using Hessians as a Regularization Technique",
    LOD 2020, doi:10.1007/978-3-030-64583-0_4.

    Examples
    --------
    >>> import torch
    >>> from sklearn.datasets import make_classification
    >>> from skorch import NeuralNetClassifier
    >>> from sklearn_hessreg import HessianReinit
    >>> X, y = make_classification(random_state=0)
    >>> net = NeuralNetClassifier(
    ...     lambda: torch.nn.Sequential(
    ...         torch.nn.Linear(20, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2)
    ...     ),
    ...     criterion=torch.nn.CrossEntropyLoss,
    ...     max_epochs=3,
    ...     callbacks=[
    ...         ("hessian", HessianReinit(k=25, n=2, reinit_every=1, random_state=0))
    ...     ],
    ...     verbose=0,
    ... )
    >>> net = net.fit(X.astype("float32"), y)
    >>> [
    ...     (r["epoch"], r["layer"], r["count"])
    ...     for r in dict(net.callbacks_)["hessian"].reinit_history_
    ... ]
    [(2, '0', 40), (2, '2', 4), (3, '0', 40), (3, '2', 4)]
    """

    def __init__(
        self,
        k: float = 10,
        n: int = 1,
        aggregation: Aggregation = "mean",
        initializer: Initializer = "xavier_uniform",
        granularity: Granularity = "weight",
        scope: Scope = "layer",
        curvature: Curvature = "mean_loss",
        criterion: Criterion = "hessian",
        reinit_every: int | Literal["auto"] = "auto",
        reinit_until: int | None = None,
        hessian_samples: int | None = 256,
        optimizer_state: OptimizerState = "keep",
        random_state: int | None = None,
    ) -> None:
        self.k = k
        self.n = n
        self.aggregation = aggregation
        self.initializer = initializer
        self.granularity = granularity
        self.scope = scope
        self.curvature = curvature
        self.criterion = criterion
        self.reinit_every = reinit_every
        self.reinit_until = reinit_until
        self.hessian_samples = hessian_samples
        self.optimizer_state = optimizer_state
        self.random_state = random_state

    def initialize(self):
        """Forget all events and seed the generator anew."""
        self.generator_ = torch.Generator(device="cpu")
        if self.random_state is None:
            self.generator_.seed()
        else:
            self.generator_.manual_seed(int(self.random_state))
        self.progress_ = Progress()
        self.records_ = []
        self.masks_ = {}
        return self

    @property
    def reinit_history_(self) -> list[dict[str, Any]]:
        """The records of all events, in a list that later events leave as it is."""
        return list(self.records_)

    def __getstate__(self):
        state = vars(self).copy()
        if "generator_" in state:
            state["records_"] = list(self.records_)  # copies share no list
            state["generator_"] = self.generator_.get_state().numpy()
            state["masks_"] = {name: mask.numpy() for name, mask in self.masks_.items()}
            state["progress_"] = asdict(self.progress_)
        return state

    def __setstate__(self, state):
        vars(self).update(state)
        if "generator_" in state:
            self.generator_ = torch.Generator(device="cpu")
            self.generator_.set_state(torch.from_numpy(state["generator_"].copy()))
            self.masks_ = {
                name: torch.from_numpy(mask.copy())
                for name, mask in state["masks_"].items()
            }
            self.progress_ = Progress(**state["progress_"])

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Refuse before training what could only fail during it."""
        # a call that trains on, or one epoch at a time, has no known end
        first = self.progress_.epochs == 0 and net.max_epochs > 1
        self.end_ = net.max_epochs if first else math.inf
        validate_parameter_constraints(
            {**PARAMETER_CONSTRAINTS, "random_state": [_SEED, None]},
            self.get_params(),
            type(self).__name__,
        )
        # where every epoch is a training of its own, records would add up for ever
        del self.records_[: -KEPT_EVENTS * self.n]
        net = uncompiled(net)
        if self.k > 0 and not has_lazy_parameters(net):
            self._check_layers(net)

    def _check_layers(self, net):
        """Refuse layers, initializers and optimizers that do not go together."""
        layers = self._layers(net)
        for name, layer in layers.items():
            draw_like(layer.weight, self.initializer, _trial_generator())
            if self.granularity == "unit":
                check_units(name, layer)
        self._check_optimizers(net, layers)

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Re-initialise, where an event is due at the start of this epoch."""
        progress = self.progress_
        self.progress_ = progress.begin_epoch()
        if self.k == 0:
            return
        net = uncompiled(net)
        if has_lazy_parameters(net):
            initialise_lazy_parameters(net, dataset_train)
            self._check_layers(net)
        if progress.epochs == 0:
            self._probe(net, dataset_train)
        elif is_due(progress, self.reinit_every, self.reinit_until, self.end_):
            self._reinitialise(net, dataset_train, self.progress_.epochs)
            self.progress_ = self.progress_.begin_cycle()

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Count the batches of the epoch."""
        batches = net.history[-1].get("train_batch_count", 0)
        self.progress_ = self.progress_.end_epoch(batches)

    def on_train_end(self, net, X=None, y=None, **kwargs):
        """Count the last epoch, if a callback before this one ended the training."""
        if self.progress_.ended < self.progress_.epochs:
            self.on_epoch_end(net)

    def _probe(self, net, dataset):
        """Show on two samples that the layers can be scored, before any training."""
        if self.criterion in ("magnitude", "random"):
            return
        if self.criterion == "hessian" and self.curvature == "mean_loss":
            check = partial(check_layers, candidates=trainable_layers(net.module_))
        else:
            check = self._scorer(net, _trial_generator())
        self._on_samples(net, two_samples(dataset), check)

    def _reinitialise(self, net, dataset, epoch):
        """Score, select, redraw and record, at the start of the given epoch."""
        start = perf_counter()
        layers = self._layers(net)
        scores = self._scores(net, layers, dataset)
        masks = select_top_k(scores, self.k, self.scope, trained_rows(layers))
        self._redraw(net, layers, masks)
        masks = {name: mask.cpu() for name, mask in masks.items()}
        seconds = perf_counter() - start
        self.records_ += describe_event(epoch, scores, masks, self.masks_, seconds)
        self.masks_ = masks

    def _layers(self, net):
        """Map the names of the last n trainable weight layers to the layers."""
        names = select_layers(net.module_, self.n, trainable_layers(net.module_))
        return {name: net.module_.get_submodule(name) for name in names}

    def _scores(self, net, layers, dataset):
        """Score the layers' weights, or their units, by the criterion."""
        if self.criterion == "magnitude":
            scores = magnitudes(layers)
        elif self.criterion == "random":
            scores = random_scores(layers, self.generator_)
        else:
            samples = draw_samples(dataset, self.hessian_samples, self.generator_)
            scores = self._on_samples(net, samples, self._scorer(net, self.generator_))
        if self.granularity == "unit":
            scores = reduce_units(scores, self.aggregation)
        for name, S in scores.items():
            if not torch.isfinite(S).all():
                raise ValueError(
                    f"The scores of layer {name!r} contain NaN or infinity: the loss "
                    "or its curvature overflows at the current weights, or what "
                    f"criterion={self.criterion!r} computes. Lower the learning rate, "
                    "scale the features, or train in float64."
                )
        return scores

    def _scorer(self, net, generator):
        """Choose the function that scores layers on samples."""
        if callable(self.criterion):
            return partial(
                call_criterion, criterion=self.criterion, generator=generator
            )
        return partial(
            score_layers,
            candidates=trainable_layers(net.module_),
            aggregation=self.aggregation,
            curvature=self.curvature,
            working_memory=get_config()["working_memory"],
        )

    def _on_samples(self, net, samples, function):
        """Call a function with the net's module, its layers, its loss and samples."""
        Xi, yi = to_batch(net, samples)
        return function(
            net.module_,
            names=list(self._layers(net)),
            loss=lambda outputs, targets: net.get_loss(outputs, targets, X=Xi),
            inputs=to_tensor(Xi, device=net.device),
            targets=yi,
        )

    def _redraw(self, net, layers, masks):
        """Draw all new values, then write them under the masks."""
        drawn = {
            name: draw_like(layer.weight, self.initializer, self.generator_)
            for name, layer in layers.items()
        }
        self._check_optimizers(net, layers)
        for name, layer in layers.items():
            mask = masks[name].to(layer.weight.device)
            bias = trained_bias(layer)
            if self.granularity == "unit" and bias is not None:
                self._write(net, bias, mask, torch.zeros_like(bias))
            self._write(net, layer.weight, of_weights(mask, layer), drawn[name])

    def _write(self, net, parameter, mask, values):
        """Write values under a mask, and reset the optimizers there if asked to."""
        write_masked(parameter, mask, values)
        if self.optimizer_state == "reset":
            for optimizer in _optimizers(net):
                reset_state(optimizer, parameter, mask)

    def _check_optimizers(self, net, layers):
        """Refuse optimizers that cannot forget single weights, if they shall."""
        if self.optimizer_state == "reset":
            for layer in layers.values():
                for optimizer in _optimizers(net):
                    check_resettable(optimizer, layer.weight)


def _trial_generator():
    """Make a generator for what is only tried, so that events draw the same."""
    return torch.Generator(device="cpu").manual_seed(0)


def _optimizers(net):
    """List the optimizers of a net."""
    return [getattr(net, f"{name}_") for name in net._optimizers]
