"""hessian_scores: exact scores of all weights in the last layers of a module."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch

from sklearn_hessreg._hessian._group import ranks_of, without_ddp
from sklearn_hessreg._hessian._layers import (
    check_names,
    select_layers,
    weight_layers,
)
from sklearn_hessreg._hessian._rank_checks import (
    describe_arguments,
    describe_module,
    describe_samples,
)
from sklearn_hessreg._hessian._score_layers import (
    WORKING_MEMORY,
    LayerScores,
    score_layers,
)
from sklearn_hessreg._typing import Aggregation, Curvature


def hessian_scores(
    module: torch.nn.Module,
    loss: Callable[[Any, Any], torch.Tensor],
    inputs: torch.Tensor | dict[str, torch.Tensor],
    targets: Any,
    *,
    n: int | None = 1,
    layers: Sequence[str] | None = None,
    aggregation: Aggregation = "mean",
    curvature: Curvature = "mean_loss",
    working_memory: float = WORKING_MEMORY,
    group: torch.distributed.ProcessGroup | Literal[False] | None = None,
) -> LayerScores:
    r"""Score every weight of the last weight layers by the exact Hessian of the loss.

    The score of a weight is its absolute row sum in the layer's Hessian block: absolute
    values are taken element by element, before the sum. You can score any layer whose
    ``weight`` is a parameter of two or more dimensions, in any network that torch can
    differentiate twice.

    Parameters
    ----------
    module : torch.nn.Module
        The network. It runs in evaluation mode (dropout off, batch norm with its
        running statistics) and is left as it was. Threads that score the same layers
        take turns; those that score other layers do not wait.
    loss : callable
        ``loss(outputs, targets)`` returns the scalar loss J: any weighted mean or
        sum over samples, twice differentiable in ``outputs``.
    inputs : Tensor of shape (n_samples, ...) or dict of str to Tensor
        The network's inputs; a dict is passed as keyword arguments.
    targets : object
        Passed to ``loss`` unchanged. Anything the loss takes from elsewhere, such as
        the module's own parameters, counts as a constant.
    n : int or None, default=1
        Score the last ``n`` weight layers, in execution order; None scores all. Ignored
        if ``layers`` is given. A weight that several layers share counts once, under
        the last of them.
    layers : sequence of str, default=None
        Names of the layers to score, as in ``module.named_modules()``.
    aggregation : {"mean", "sum"}, default="mean"
        ``"sum"`` adds the absolute values along the extra dimensions; ``"mean"``
        divides that sum by the number of weights in the layer. Both rank the weights
        within a layer in the same order.
    curvature : {"mean_loss", "per_sample"}, default="mean_loss"
        ``"mean_loss"`` takes the absolute value of the Hessian of J.
        ``"per_sample"`` adds up the absolute Hessians of the samples' shares of J. It
        is also exact, but a different quantity, and far cheaper for hidden layers. The
        default is the Hessian of the loss you pass. The method scores again and again,
        so its default is the cheaper ``"per_sample"``.
    working_memory : float, default=512
        MiB for the curvature B, the Jacobian and the tiles. Under ``"per_sample"`` it
        also covers the forward pass with its graph, which runs on parts of the samples.
        Some memory comes on top of it. Under ``"mean_loss"`` that is the forward pass,
        a few copies of the layer's inputs, one row of B (the rows of z times the units
        of the layer) and one row of a tile (``out * in`` numbers). Row by row under
        ``"per_sample"`` it is a copy of the weights for each sample of a part. The
        outputs and the scores always come on top. Less memory never changes a score
        beyond rounding; it costs time.
    group : ProcessGroup or False, default=None
        The processes that share the work, if :mod:`torch.distributed` is initialised:
        None means all of them, False only this one. Each must call this function with
        the same arguments, weights and samples. Each gets all scores, identical to the
        bit; see Notes.

    Returns
    -------
    scores : dict of str to Tensor
        Maps each layer's name to a tensor of the shape of its weight, in the unit of J
        divided by the square of the weights' unit. Layers run from the first one scored
        to the last, or in the order of ``layers``. The attribute ``formulas`` maps the
        names to the formula that was used, with the reason.

    Raises
    ------
    ValueError
        If an option has an unknown value; if ``n`` exceeds the number of weight layers;
        if a name in ``layers`` is not a weight layer of the module; if its weight is
        parametrised, or is used through a reference that the module's registry does not
        know; if none of the layers was used (a layer that was not used scores zero); if
        ``loss`` does not return a scalar; if torch cannot differentiate twice, as in
        ``torch.jit`` modules; if samples interact under ``curvature="per_sample"``; or
        if processes of the group were given different weights, samples or arguments.
    RuntimeError
        If another process of the group fails, or does not arrive before the group's
        timeout.

    Notes
    -----
    With :math:`z_n = W h_n + b` and :math:`B_n = \partial^2 J/\partial z_n^2`,

    .. math:: S_{ij} = \sum_{kl} \Bigl|\sum_n B_n[i,k]\, h_{nj}\, h_{nl}\Bigr|
              \quad\text{(mean\_loss)}, \qquad
              S_{ij} = \sum_n \sum_k |B_n[i,k]|\,|h_{nj}|\,\lVert h_n\rVert_1
              \quad\text{(per\_sample)}.

    Three formulas are tried in turn. What each one needs is tested numerically.

    1. *Rows.* For a linear layer that is used once and whose rows of z do not interact,
       the formulas above apply. If the sign of :math:`B_n[i,k] h_{nj} h_{nl}` is the
       same for all n, nothing cancels, and the first sum factorises like the second.
       All other pairs (i, k) are streamed in tiles of matrix products. That takes about
       ``n_samples * (out * in) ** 2 / 2`` operations, and fewer if units and inputs are
       inactive, because only the active ones are gathered. B takes C backward passes if
       a piecewise linear tail with C outputs follows, and one double backward pass for
       each unit if any other tail does. Under ``"per_sample"``, matrix products carry B
       from layer to layer if each unit has a constant factor between two linear layers,
       as after ReLU. For an output layer, B is known without backward passes: it is
       :math:`B_n = w_n (\mathrm{diag}(p_n) - p_n p_n^\top)` for softmax, and a diagonal
       for outputs that each have their own loss. After ReLU, the score of an output
       layer takes a few derivatives of the layer and the loss, whatever the number of
       classes.
    2. *Jacobian.* This is for convolutions, inputs of more than two dimensions and
       layers used several times, if the C outputs are piecewise linear in the weight.
       The Hessian is :math:`\sum_n G_n^\top S_n G_n`, where G is the Jacobian of the
       outputs with respect to the P weights and S the second derivative of the loss
       with respect to the outputs. It takes ``2 * n_samples * C * P ** 2`` operations.
       It is used if ``3 * n_samples * C * P`` numbers and the derivatives with respect
       to the layer's results fit into ``working_memory``.
    3. *Row by row.* Anything else takes one second derivative for each of the P
       weights, about ``2 * P`` forward and backward passes. Interacting samples are
       allowed.

    Each formula's product of the Hessian with a random direction is compared with the
    product from autograd; a formula that differs is not used. Output layers and the
    layers linked to them skip this check, because there the graph of the forward pass
    is proof.

    Processes divide the work on a score by units of the layer (Rows), by its weights
    (Jacobian, Row by row), or under ``"per_sample"`` by samples. They never divide it
    by samples under ``"mean_loss"``, where the absolute value comes after the sum over
    samples. Each process runs the forward pass of all samples and computes B or the
    Jacobian. One ``all_reduce`` per layer adds up the scores, which equal those of one
    process up to rounding. Digests of the weights and samples are compared beforehand.
    If the module is wrapped in ``DistributedDataParallel``, the wrapped module is
    scored, and layers go by its names. Its buffers are overwritten with those of the
    first rank, as in the wrapper's own forward pass.

    ``torch.autocast``, ``torch.inference_mode``, ``torch.no_grad`` and a default device
    around the call do not change the scores.

    Examples
    --------
    >>> import torch
    >>> from sklearn_hessreg import hessian_scores
    >>> net = torch.nn.Linear(2, 1, bias=False).double()
    >>> X = torch.tensor([[1.0, 2.0], [3.0, 0.0]], dtype=torch.float64)
    >>> y = torch.zeros(2, 1, dtype=torch.float64)
    >>> scores = hessian_scores(
    ...     net, torch.nn.functional.mse_loss, X, y, aggregation="sum"
    ... )
    >>> scores[""]
    tensor([[12.,  6.]], dtype=torch.float64)
    >>> scores.formulas[""]
    '0.0% of the pairs of units streamed, curvature by its form, diagonal'
    """
    bare = without_ddp(module)
    if layers is not None and not isinstance(layers, str):
        layers = list(layers)

    def score(share):
        names, candidates = _select(bare, n, layers)
        return score_layers(
            *(bare, loss, inputs, targets, names, candidates),
            *(aggregation, curvature, working_memory),
            must_run=True,
            share=share,
        )

    synchronised = bare is not module and module.broadcast_buffers
    arguments = {
        "n": n,
        "layers": layers,
        "aggregation": aggregation,
        "curvature": curvature,
        "working_memory": working_memory,
        "DistributedDataParallel": bare is not module,
    }

    def describe():
        module = describe_module(bare, buffers=not synchronised)
        samples = describe_samples(inputs, targets)
        return describe_arguments(arguments) | module | samples

    buffers = bare.buffers() if synchronised else ()
    return ranks_of(group).score("hessian_scores", describe, score, buffers)


def _select(module, n, layers):
    """Return the names of the layers to score, and those they must be the last of."""
    if layers is None:
        candidates = weight_layers(module)
        return select_layers(module, n, candidates), candidates
    if isinstance(layers, str) or layers == []:
        raise ValueError(
            f"layers={layers!r} must be a list of at least one name, as [{layers!r}]."
        )
    check_names(module, layers, weight_layers(module))
    return layers, None
