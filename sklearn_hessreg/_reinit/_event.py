"""One re-initialisation: choose layers, score, select and redraw weights."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from sklearn import get_config
from skorch.utils import to_tensor

from sklearn_hessreg._hessian import (
    ALONE,
    check_layers,
    describe_samples,
    score_layers,
    select_layers,
)
from sklearn_hessreg._reinit._importance import (
    call_importance,
    magnitudes,
    random_scores,
)
from sklearn_hessreg._reinit._ranks import (
    align,
    check_begin,
    synchronised,
)
from sklearn_hessreg._reinit._redraw import (
    check_resettable,
    draw_like,
    reduce_units,
    reset_state,
    select_top_k,
    write_masked,
)
from sklearn_hessreg._reinit._samples import (
    draw_from_all_ranks,
    draw_samples,
    to_batch,
    two_samples,
)
from sklearn_hessreg._reinit._trained_module import (
    check_units,
    of_weights,
    trainable_layers,
    trained_bias,
    trained_rows,
)


@dataclass(frozen=True)
class Event:
    """A re-initialisation of a net's weights, with the method's hyperparameters.

    `method` holds these as attributes, `net` is unwrapped, `generator` makes all draws,
    `ranks` are the processes that take part.
    """

    method: Any
    net: Any
    generator: torch.Generator
    ranks: Any = ALONE

    def check(self):
        """Refuse layers, initializers and optimizers that do not go together."""
        self.ranks.attempt("checking the layers", self._check)

    def _check(self):
        """Check this process alone."""
        layers = self._layers()
        for name, layer in layers.items():
            draw_like(layer.weight, self.method.initializer, _trial_generator())
            if self.method.granularity == "unit":
                check_units(name, layer)
        self._check_optimizers(layers)

    def probe(self, dataset):
        """Check on two samples that the layers can be scored, before any training."""
        check_begin(self.ranks, self.method, self.net, dataset)
        self.ranks.attempt("a trial on two samples", partial(self._probe, dataset))

    def _probe(self, dataset):
        """Probe this process alone."""
        method = self.method
        if method.importance in ("magnitude", "random"):
            return
        if method.importance == "hessian" and method.curvature == "mean_loss":
            candidates = trainable_layers(self.net.module_)
            check = partial(check_layers, candidates=candidates)
        else:
            check = self._scorer(_trial_generator())
        self._on_batch(to_batch(self.net, two_samples(dataset)), check)

    def run(self, dataset):
        """Score, select and redraw; return the scores and the masks on the CPU."""
        method = self.method
        align(self.ranks, method, self.net.module_, self.generator)
        layers = self._layers()
        scores = self._scores(layers, dataset)
        masks = select_top_k(scores, method.k, method.scope, trained_rows(layers))
        self._redraw(layers, masks)
        return scores, {name: mask.cpu() for name, mask in masks.items()}

    def _layers(self):
        """Map the names of the last n trainable weight layers to the layers."""
        module = self.net.module_
        names = select_layers(module, self.method.n, trainable_layers(module))
        return {name: module.get_submodule(name) for name in names}

    def _scores(self, layers, dataset):
        """Score the layers' weights, or their units, by the importance."""
        method, generator = self.method, self.generator
        if method.importance == "magnitude":
            scores = magnitudes(layers)
        elif method.importance == "random":
            scores = random_scores(layers, generator)
        else:
            batch = self._draw_batch(dataset)
            scores = self._on_batch(batch, self._shared(self._scorer(generator)))
        if method.granularity == "unit":
            scores = reduce_units(scores, method.aggregation)
        for name, S in scores.items():
            if not torch.isfinite(S).all():
                raise ValueError(
                    f"The scores of layer {name!r} contain NaN or infinity: the loss "
                    "or its curvature overflows at the current weights, or what "
                    f"importance={method.importance!r} computes. Lower the learning "
                    "rate, scale the features, or train in float64."
                )
        return scores

    def _draw_batch(self, dataset):
        """Draw the Hessian samples, from all ranks' rows if each rank has its own."""
        count, generator = self.method.hessian_samples, self.generator
        if self.method.rows == "sharded":
            samples = draw_from_all_ranks(self.ranks, dataset, count, generator)
        else:
            draw = partial(draw_samples, dataset, count, generator)
            samples = self.ranks.attempt("drawing samples", draw)
        batch = partial(to_batch, self.net, samples)
        return self.ranks.attempt("making one batch of the samples", batch)

    def _shared(self, scorer):
        """Share a scorer's work among the ranks."""
        if callable(self.method.importance):
            return partial(synchronised, self.ranks, scorer)

        def score(module, *, names, loss, inputs, targets):
            samples = {"inputs": inputs, "targets": targets}
            options = {"names": names, "loss": loss, **samples}
            return self.ranks.score(
                "the scores of an event",
                lambda: describe_samples(samples),
                lambda share: scorer(module, share=share, **options),
            )

        return score

    def _scorer(self, generator):
        """Choose the function that scores layers on samples."""
        method = self.method
        if callable(method.importance):
            return partial(
                call_importance, importance=method.importance, generator=generator
            )
        return partial(
            score_layers,
            candidates=trainable_layers(self.net.module_),
            aggregation=method.aggregation,
            curvature=method.curvature,
            working_memory=get_config()["working_memory"],
        )

    def _on_batch(self, batch, function):
        """Call a function with the net's module, its layers, its loss and samples."""
        net, (Xi, yi) = self.net, batch
        return function(
            net.module_,
            names=list(self._layers()),
            loss=lambda outputs, targets: net.get_loss(outputs, targets, X=Xi),
            inputs=to_tensor(Xi, device=net.device),
            targets=yi,
        )

    def _redraw(self, layers, masks):
        """Draw all new values, then write them under the masks."""
        drawn = self.ranks.attempt("drawing weights", partial(self._draw, layers))
        for name, layer in layers.items():
            mask = masks[name].to(layer.weight.device)
            bias = trained_bias(layer)
            if self.method.granularity == "unit" and bias is not None:
                self._write(bias, mask, torch.zeros_like(bias))
            self._write(layer.weight, of_weights(mask, layer), drawn[name])
        # an initializer may use another generator
        self.ranks.broadcast(p for layer in layers.values() for p in _own(layer))

    def _draw(self, layers):
        """Draw new weights for whole layers."""
        drawn = {
            name: draw_like(layer.weight, self.method.initializer, self.generator)
            for name, layer in layers.items()
        }
        self._check_optimizers(layers)
        return drawn

    def _write(self, parameter, mask, values):
        """Write values under a mask, and reset the optimizers there if asked to."""
        write_masked(parameter, mask, values)
        if self.method.optimizer_state == "reset":
            for optimizer in _optimizers(self.net):
                reset_state(optimizer, parameter, mask)

    def _check_optimizers(self, layers):
        """Refuse optimizers that cannot reset single weights, if they are to."""
        if self.method.optimizer_state == "reset":
            for layer in layers.values():
                for optimizer in _optimizers(self.net):
                    check_resettable(optimizer, layer.weight)


def _trial_generator():
    """Make a generator for trials, so that they do not change what events draw."""
    return torch.Generator(device="cpu").manual_seed(0)


def _own(layer):
    """List a layer's parameters."""
    return layer.parameters(recurse=False)


def _optimizers(net):
    """List a net's optimizers, without Accelerate's wrappers."""
    held = [getattr(net, f"{name}_") for name in net._optimizers]
    inner = [getattr(optimizer, "optimizer", None) for optimizer in held]
    pairs = zip(held, inner, strict=True)
    return [i if isinstance(i, torch.optim.Optimizer) else o for o, i in pairs]


def describe_event(cycles, scores, masks, before, seconds):
    """Make one record per layer, at the start of a cycle's first epoch.

    `before` holds the masks of the previous event.
    """
    score = cycles.kept[-1]["score"]  # of the cycle that the event ended
    return [
        {
            "epoch": cycles.epochs,
            "cycle": cycles.n_cycles + 1,
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
