"""hessian_scores: the exact score of every weight of the last layers of a module."""

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
from sklearn_hessreg._hessian._score_layers import WORKING_MEMORY, score_layers
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
) -> dict[str, torch.Tensor]:
    r"""Score every weight of the last weight layers by the exact Hessian of the loss.

    The score of a weight is its absolute row sum in the layer's Hessian block,
    the absolute value being taken element by element, before the sum. Any layer whose
    ``weight`` is a parameter of two or more dimensions can be scored, in any network
    that torch can differentiate twice.

    Parameters
    ----------
    module : torch.nn.Module
        The network. It is run in evaluation mode (dropout off, batch norm by its
        running statistics) and comes back as it was. Threads that score the same
        layers take turns; those that score others do not wait.
    loss : callable
        ``loss(outputs, targets)`` returns the scalar loss J: any weighted mean or
        sum over samples, twice differentiable in ``outputs``.
    inputs : Tensor of shape (n_samples, ...) or dict of str to Tensor
        What the network is called with; a dict is passed as keyword arguments.
    targets : object
        Passed to ``loss`` as it is. What the loss takes from elsewhere, such as the
        module's own parameters, counts as a constant.
    n : int or None, default=1
        Score the last ``n`` weight layers, in the order in which they are executed;
        None scores all. Ignored when ``layers`` is given. A weight that several
        layers share counts once, as that of the last of them.
    layers : sequence of str, default=None
        Names of the layers to score, as in ``module.named_modules()``.
    aggregation : {"mean", "sum"}, default="mean"
        ``"sum"`` adds the absolute values along the extra dimensions, ``"mean"``
        divides that by the number of weights of the layer. The order of the weights
        inside a layer is the same.
    curvature : {"mean_loss", "per_sample"}, default="mean_loss"
        ``"mean_loss"`` takes the absolute value of the Hessian of J.
        ``"per_sample"`` adds up the absolute Hessians of the samples' shares of J:
        also exact, another quantity, and for hidden layers far cheaper. The default
        is the Hessian of the loss that is passed; that of the method, which scores
        again and again, is the cheaper ``"per_sample"``.
    working_memory : float, default=512
        MiB for the curvature B, the Jacobian and the tiles, and under ``"per_sample"``
        for the forward pass with its graph, which is made in parts of the samples.
        Under ``"mean_loss"`` memory holds that pass beside it, with a few copies of the
        layer's inputs, one row of B (the rows of z times the units of the layer) and
        one row of a tile (``out * in`` numbers); row by row under ``"per_sample"`` a
        copy of the weights for each sample of a part; always the outputs and the
        scores. Less memory never changes a score beyond rounding; it costs time.
    group : ProcessGroup or False, default=None
        The processes that share the work out, where :mod:`torch.distributed` is
        initialised: None takes all of them, False this one alone. Each has to call
        this function with the same arguments, weights and samples, and gets all scores,
        the same to the bit; see Notes.

    Returns
    -------
    scores : dict of str to Tensor
        For each layer's name a tensor of the shape of its weight, in the unit of J
        divided by the square of the weights' unit; from the first layer scored to the
        last, or in the order of ``layers``.

    Raises
    ------
    ValueError
        If an option has an unknown value, if ``n`` exceeds the number of weight
        layers, if a name in ``layers`` is not a weight layer of the module, if its
        weight is parametrised or is used through a reference that the module's registry
        does not know, if none of the layers was used (one that was not scores zero), if
        ``loss`` does not return a scalar, if torch cannot differentiate twice, as in
        modules of ``torch.jit``, if samples interact under
        ``curvature="per_sample"``, or if processes of the group were given different
        weights, samples or arguments.
    RuntimeError
        If another process of the group fails, or does not come before its timeout.

    Notes
    -----
    With :math:`z_n = W h_n + b` and :math:`B_n = \partial^2 J/\partial z_n^2`,

    .. math:: S_{ij} = \sum_{kl} \Bigl|\sum_n B_n[i,k]\, h_{nj}\, h_{nl}\Bigr|
              \quad\text{(mean\_loss)}, \qquad
              S_{ij} = \sum_n \sum_k |B_n[i,k]|\,|h_{nj}|\,\lVert h_n\rVert_1
              \quad\text{(per\_sample)}.

    Three formulas are tried in turn; what each needs is tested on the numbers at hand,
    and the logger ``sklearn_hessreg`` tells at level DEBUG which was taken and why.

    1. *Rows.* A linear layer that is used once, where rows of z do not interact: the
       formulas above. Where the sign of :math:`B_n[i,k] h_{nj} h_{nl}` is the same for
       all n nothing cancels, and the first sum factorises like the second. All other
       pairs (i, k) are streamed in tiles of matrix products, about
       ``n_samples * (out * in) ** 2 / 2`` operations, fewer where units and inputs are
       inactive: they are gathered. B takes C backward passes behind a piecewise linear
       tail with C outputs, and one double backward pass for each unit behind any other.
       Under ``"per_sample"`` it goes from layer to layer by matrix products where
       between two linear layers each unit has a constant factor, as behind ReLU.
       Of an output layer it is known without: for softmax
       :math:`B_n = w_n (\mathrm{diag}(p_n) - p_n p_n^\top)`, for outputs with losses of
       their own a diagonal. Behind ReLU its score takes a few derivatives of the layer
       and the loss, whatever the number of classes.
    2. *Jacobian.* Convolutions, inputs of more than two dimensions and several uses,
       where the C outputs are piecewise linear in the weight: the Hessian is
       :math:`\sum_n G_n^\top S_n G_n` with the outputs' Jacobian G by the P weights and
       the loss's second derivative S by the outputs. It takes
       ``2 * n_samples * C * P ** 2`` operations, if ``3 * n_samples * C * P`` numbers
       and the derivatives by the layer's results fit into ``working_memory``.
    3. *Row by row.* Anything else: one second derivative for each of the P weights,
       about ``2 * P`` forward and backward passes. Interacting samples are allowed.

    What a formula says the Hessian does to a random direction is compared with what it
    does, by autograd; a formula that differs is not used. That is left out for output
    layers and the layers linked to them, where the graph of the forward pass is proof.

    The work on a score is shared out by units of the layer (Rows), by its weights
    (Jacobian, Row by row), or under ``"per_sample"`` by samples, never by samples under
    ``"mean_loss"``, where the absolute value comes after their sum. Each process makes
    the forward pass of all samples and B or the Jacobian; one ``all_reduce`` a layer
    adds up the scores, which equal those of one process up to rounding. Before, digests
    of the weights and samples are compared. Of a module in
    ``DistributedDataParallel`` that which it wraps is scored, whose names the layers
    have; its buffers are overwritten with those of the first rank, as its own forward
    pass does.

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
    """Return the names of the layers to score, and of those that must not follow."""
    if layers is None:
        candidates = weight_layers(module)
        return select_layers(module, n, candidates), candidates
    if isinstance(layers, str) or layers == []:
        raise ValueError(
            f"layers={layers!r} must be a list of at least one name, as [{layers!r}]."
        )
    check_names(module, layers, weight_layers(module))
    return layers, None
