"""What a training costs: its largest product, and the method beside the epochs."""

import math
from itertools import pairwise

from sklearn_hessreg._compat import warn_at_caller
from sklearn_hessreg._hessian import count_operations
from sklearn_hessreg._reinit import epochs_between
from sklearn_hessreg._training._batches import rows_of_batch
from sklearn_hessreg._training._mlp import stays_sparse


def count_largest_product(spec, X):
    """Count the operations of the largest matrix product of a batch of torch's."""
    products = [fan_in * out for fan_in, out in pairwise(spec.layer_units)]
    if stays_sparse(X, spec.device):
        del products[0]  # scipy's, in one thread
    rows = rows_of_batch(spec, X.shape[0])
    return 2 * rows * max(products, default=0)


def warn_if_expensive(spec, n_samples):
    """Warn where the streamed Hessian costs far more than an epoch of training."""
    method = spec.method
    if method["importance"] != "hessian" or method["curvature"] != "mean_loss":
        return
    if method["k"] == 0:
        return
    shapes = list(zip(spec.layer_units[1:], spec.layer_units, strict=False))
    n = method["n"] or len(shapes)
    *hidden, output = shapes[-n:]
    used = min(n_samples, method["hessian_samples"] or n_samples)
    event = sum(count_operations(used, *shape) for shape in hidden)
    # behind inputs of one sign the output layer factorises
    if len(shapes) == 1 or spec.activation not in ("relu", "logistic"):
        alone = spec.head.out_activation != "softmax"
        event += count_operations(used, *output, diagonal=alone)
    epoch = 6 * n_samples * sum(math.prod(shape) for shape in shapes)
    every = epochs_between(method["reinit_every"], spec.n_iter_no_change)
    ratio = event / epoch / every
    if ratio > 10 and event > 1e10:
        warn_at_caller(
            f"The exact Hessian of the last n={n} layers on {used} samples "
            f"takes up to {event:.0e} floating-point operations each time, {ratio:.0f} "
            "times the training between two re-initialisations. Fewer hessian_samples "
            "or curvature='per_sample' make it cheaper."
        )
