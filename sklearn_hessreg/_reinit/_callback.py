"""HessianReinit: when and where a skorch net re-initialises weights, and the record."""

import math
from functools import partial
from numbers import Integral, Real
from time import perf_counter
from typing import Any, Literal

import torch
from sklearn import get_config
from sklearn.utils._param_validation import (
    Interval,
    StrOptions,
    validate_parameter_constraints,
)
from skorch.callbacks import Callback
from skorch.dataset import unpack_data
from skorch.utils import to_tensor
from torch.utils.data import Subset

from sklearn_hessreg._hessian import (
    AGGREGATIONS,
    CURVATURES,
    check_layers,
    score_layers,
    select_layers,
    weight_layers,
)
from sklearn_hessreg._reinit._redraw import (
    INITIALIZERS,
    draw_like,
    reduce_units,
    reset_state,
    select_top_k,
    write_masked,
)
from sklearn_hessreg._typing import (
    Aggregation,
    Criterion,
    Curvature,
    Granularity,
    Initializer,
    OptimizerState,
    Scope,
)

AUTO_UPDATES = 100  # from one re-initialisation to the next under reinit_every="auto"
PARAMETER_CONSTRAINTS = {
    "k": [Interval(Real, 0, 100, closed="both")],
    "n": [Interval(Integral, 1, None, closed="left")],
    "aggregation": [StrOptions(set(AGGREGATIONS))],
    "initializer": [StrOptions(set(INITIALIZERS)), callable],
    "granularity": [StrOptions({"weight", "unit"})],
    "scope": [StrOptions({"layer", "global"})],
    "curvature": [StrOptions(set(CURVATURES))],
    "criterion": [StrOptions({"hessian", "magnitude", "random"})],
    "reinit_every": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "reinit_until": [Interval(Integral, 1, None, closed="left"), None],
    "hessian_samples": [Interval(Integral, 1, None, closed="left"), None],
    "optimizer_state": [StrOptions({"keep", "reset"})],
    "random_state": [Interval(Integral, 0, 2**63 - 1, closed="both"), None],
}


class HessianReinit(Callback):
    """Re-initialise the weights of highest curvature between a skorch net's epochs.

    At the start of an epoch, but not of the first, the exact Hessian of the net's loss
    is reduced to one score per weight for each of the last ``n`` layers, and the top
    ``k`` percent of the weights are drawn anew. Nothing is re-initialised after the
    last update, so scores, checkpoints and the returned model see trained weights.

    Parameters
    ----------
    k : float, default=10
        Percent of the weights (or units) to re-initialise, from 0 to 100:
        ``ceil(k / 100 * count)`` of them. 0 switches the method off.
    n : int, default=1
        How many of the last trainable weight layers take part: linear layers,
        convolutions and any other module with a weight of two or more dimensions.
        Linear layers on inputs of shape (n_samples, in_features) are scored fastest,
        see :func:`hessian_scores`.
    aggregation : {"mean", "sum"}, default="mean"
        How the absolute Hessian is reduced to one score per weight. Inside a layer both
        select the same weights; they differ under ``scope="global"``.
    initializer : str or callable, default="xavier_uniform"
        ``"zeros"``, or the name of an initializer in :mod:`torch.nn.init` with that
        function's defaults (``"uniform"`` is U(0, 1), ``"normal"`` is N(0, 1),
        ``"trunc_normal"``, ``"xavier_uniform"``, ``"xavier_normal"``,
        ``"kaiming_uniform"``, ``"kaiming_normal"``, ``"orthogonal"``), or a picklable
        callable ``f(tensor, generator=...)`` that fills a tensor of the layer's shape
        in place or returns one, such as ``functools.partial(torch.nn.init.normal_,
        std=0.1)``. It is tried once on every layer before training.
    granularity : {"weight", "unit"}, default="weight"
        ``"unit"`` ranks whole output units (channels of a convolution) by the aggregate
        of their weights' scores, redraws their weights and sets their biases to zero.
    scope : {"layer", "global"}, default="layer"
        Take the top k percent in each layer, or of all n layers together.
    curvature : {"mean_loss", "per_sample"}, default="mean_loss"
        Absolute value of the mean loss's Hessian, or mean of the samples' absolute
        Hessians; see :func:`hessian_scores`.
    criterion : {"hessian", "magnitude", "random"}, default="hessian"
        What ranks the weights. The method is ``"hessian"``; absolute value and chance
        are its controls.
    reinit_every : int or "auto", default="auto"
        Epochs of training from one re-initialisation to the next. ``"auto"`` waits for
        100 batches at least: with fewer updates a network does not recover. Nor does it
        re-initialise where fewer are left until ``max_epochs``, unless the net trains
        on after an earlier call. The paper re-initialises after every epoch, 1.
    reinit_until : int, default=None
        Last epoch after which weights are re-initialised; None sets no end.
    hessian_samples : int, default=256
        Training samples in the Hessian, drawn anew each time; None takes all.
    optimizer_state : {"keep", "reset"}, default="keep"
        Whether the optimizer's moments of the redrawn weights are kept or set to zero.
    random_state : int, default=None
        Seed of all draws; None takes one from the operating system.

    Attributes
    ----------
    reinit_history_ : list of dict
        One record for each event and layer: ``epoch`` (the epoch that starts with it,
        counted from 1), ``layer``, ``count`` (weights or units redrawn), ``overlap``
        (share of them also redrawn by the previous event, NaN where there is none),
        ``unit_share`` (float32 array: the share redrawn of each output unit's weights,
        or of each row of the weight of any other layer), ``score_min`` and
        ``score_max`` over the layer, ``seconds`` (of the whole event, all layers).

    Raises
    ------
    ValueError
        When training begins, if a parameter has a value that is not allowed, ``n`` is
        larger than the number of trainable weight layers, one of the last ``n`` cannot
        be scored (see :func:`hessian_scores`), or the initializer's draw has another
        shape or is not finite. At an event, if scores are not finite. No weight has
        been changed then.

    Notes
    -----
    The loss is the net's own ``get_loss`` with ``training=False`` on the outputs of
    ``module_`` in evaluation mode. All Hessian samples pass through the net as one
    batch of its ``iterator_valid``. Scoring keeps its temporaries within scikit-learn's
    ``working_memory`` (see :func:`sklearn.config_context`), as far as
    :func:`hessian_scores` can.

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

    reinit_history_: list[dict[str, Any]]  # set by initialize, for type checkers

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
        self.generator_ = torch.Generator()
        if self.random_state is None:
            self.generator_.seed()
        else:
            self.generator_.manual_seed(int(self.random_state))
        self.reinit_history_ = []
        self.masks_ = {}
        return self

    def __getstate__(self):
        state = vars(self).copy()
        if "generator_" in state:
            state["generator_"] = self.generator_.get_state().numpy()
            state["masks_"] = {name: mask.numpy() for name, mask in self.masks_.items()}
        return state

    def __setstate__(self, state):
        vars(self).update(state)
        if "generator_" in state:
            self.generator_ = torch.Generator()
            self.generator_.set_state(torch.tensor(state["generator_"]))
            self.masks_ = {
                name: torch.tensor(mask) for name, mask in state["masks_"].items()
            }

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Refuse before training what could only fail during it."""
        # a call that trains on, or one epoch at a time, has no end to be seen
        first = not net.history and net.max_epochs > 1
        self.end_ = net.max_epochs if first else math.inf
        validate_parameter_constraints(
            PARAMETER_CONSTRAINTS, self.get_params(), type(self).__name__
        )
        if self.k == 0:
            return
        for name, layer in self._layers(net).items():
            draw_like(layer.weight, self.initializer, torch.Generator().manual_seed(0))
            if self.granularity == "unit":
                _check_units(name, layer)

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Re-initialise, where an event is due at the start of this epoch."""
        trained = len(net.history) - 1  # the new epoch's row stands already
        if self.k == 0:
            return
        if trained == 0:
            self._probe(net, dataset_train)
        elif self._is_due(net, trained) and trained <= (self.reinit_until or math.inf):
            self._reinitialise(net, dataset_train, trained + 1)

    def _is_due(self, net, trained):
        """Tell whether to re-initialise after so many epochs of training."""
        if self.reinit_every != "auto":
            return trained % self.reinit_every == 0
        last = self.reinit_history_[-1]["epoch"] if self.reinit_history_ else 1
        rows = net.history.to_list()[last - 1 : trained]
        # an interrupted epoch has no count
        counts = [row.get("train_batch_count", 0) for row in rows]
        if sum(counts) < AUTO_UPDATES:
            return False
        return (self.end_ - trained) * max(counts) >= AUTO_UPDATES

    def _probe(self, net, dataset):
        """Show on two samples that the layers can be scored, before any training."""
        if self.criterion == "hessian":
            ends = [0, len(dataset) - 1]
            check = check_layers
            if self.curvature == "per_sample":
                check = partial(score_layers, curvature=self.curvature)
            self._on_samples(net, list(self._layers(net)), dataset, ends, check)

    def _reinitialise(self, net, dataset, epoch):
        """Score, select, redraw and record, at the start of the given epoch."""
        start = perf_counter()
        layers = self._layers(net)
        scores = self._scores(net, layers, dataset)
        masks = select_top_k(scores, self.k, self.scope)
        self._redraw(net, layers, masks)
        self._record(epoch, scores, masks, perf_counter() - start)

    def _layers(self, net):
        """Map the names of the last n trainable weight layers to the layers."""
        names = select_layers(net.module_, self.n, _trainable_layers(net.module_))
        return {name: net.module_.get_submodule(name) for name in names}

    def _scores(self, net, layers, dataset):
        """Score the layers' weights, or their units, by the criterion."""
        if self.criterion == "hessian":
            indices = self._draw_samples(len(dataset))
            score = partial(
                score_layers,
                aggregation=self.aggregation,
                curvature=self.curvature,
                working_memory=get_config()["working_memory"],
            )
            scores = self._on_samples(net, list(layers), dataset, indices, score)
        elif self.criterion == "magnitude":
            scores = {name: m.weight.detach().abs() for name, m in layers.items()}
        else:
            scores = {
                name: torch.rand(m.weight.shape, generator=self.generator_)
                for name, m in layers.items()
            }
        if self.granularity == "unit":
            scores = reduce_units(scores, self.aggregation)
        for name, S in scores.items():
            if not torch.isfinite(S).all():
                raise ValueError(
                    f"The scores of layer {name!r} contain NaN or infinity: the loss "
                    "or its curvature overflows at the current weights. Lower the "
                    "learning rate, scale the features, or train in float64."
                )
        return scores

    def _draw_samples(self, n_samples):
        """Draw the indices of the Hessian samples; without a draw if all are taken."""
        if self.hessian_samples is None or self.hessian_samples >= n_samples:
            return list(range(n_samples))
        drawn = torch.randperm(n_samples, generator=self.generator_)
        return drawn[: self.hessian_samples].tolist()

    def _on_samples(self, net, names, dataset, indices, function):
        """Call a function of _hessian with the net, its loss and these samples."""
        loader = {**net.get_params_for("iterator_valid"), "batch_size": len(indices)}
        with torch.random.fork_rng([]):  # torch's DataLoader draws a seed
            (batch,) = net.iterator_valid(Subset(dataset, indices), **loader)
            Xi, yi = unpack_data(batch)
            return function(
                net.module_,
                lambda outputs, targets: net.get_loss(outputs, targets, X=Xi),
                to_tensor(Xi, device=net.device),
                yi,
                names=names,
                candidates=_trainable_layers(net.module_),
            )

    def _redraw(self, net, layers, masks):
        """Draw all new values, then write them under the masks."""
        drawn = {
            name: draw_like(layer.weight, self.initializer, self.generator_)
            for name, layer in layers.items()
        }
        for name, layer in layers.items():
            mask = masks[name].to(layer.weight.device)
            if self.granularity == "unit":
                if layer.bias is not None:
                    zeros = torch.zeros_like(layer.bias)
                    self._write(net, layer.bias, mask, zeros)
                mask = mask.view(-1, *[1] * (layer.weight.ndim - 1))
                mask = mask.expand_as(layer.weight)
            self._write(net, layer.weight, mask, drawn[name])

    def _write(self, net, parameter, mask, values):
        """Write values under a mask, and reset the optimizers there if asked to."""
        write_masked(parameter, mask, values)
        if self.optimizer_state == "reset":
            for name in net._optimizers:
                reset_state(getattr(net, name + "_"), parameter, mask)

    def _record(self, epoch, scores, masks, seconds):
        """Append one record per layer and keep the masks for the next overlap."""
        records = []
        masks = {name: mask.cpu() for name, mask in masks.items()}
        for name, mask in masks.items():
            count, before = int(mask.sum()), self.masks_.get(name)
            # after a change of granularity there is nothing to compare with
            known = before is not None and before.shape == mask.shape and count > 0
            records.append(
                {
                    "epoch": epoch,
                    "layer": name,
                    "count": count,
                    "overlap": int((mask & before).sum()) / count
                    if known
                    else math.nan,
                    "unit_share": mask.reshape(len(mask), -1).float().mean(1).numpy(),
                    "score_min": scores[name].min().item(),
                    "score_max": scores[name].max().item(),
                    "seconds": seconds,
                }
            )
        # a new list, so that an earlier one can be kept to return to
        self.reinit_history_ = self.reinit_history_ + records
        self.masks_ = masks


def _trainable_layers(module):
    """Name the weight layers whose weight the optimizer may change."""
    return [
        name
        for name in weight_layers(module)
        if module.get_submodule(name).weight.requires_grad
    ]


def _check_units(name, layer):
    """Refuse layers in which a row of the weight is not an output unit."""
    bias = getattr(layer, "bias", None)
    transposed = getattr(layer, "transposed", False)
    if transposed or (bias is not None and bias.shape != layer.weight.shape[:1]):
        raise ValueError(
            f"granularity='unit' takes the rows of a weight for the output units, but "
            f"layer {name!r} is a {type(layer).__name__} with a weight of shape "
            f"{tuple(layer.weight.shape)}. Use granularity='weight' or a smaller n."
        )
