"""Read what a display needs from an estimator: its MLP, data and layers."""

from numbers import Integral

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sklearn_hessreg._base import BaseHessianRegularizedMLP


def fitted_mlp(estimator):
    """Return the fitted MLP itself, taken out of a pipeline if it is in one."""
    mlp = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    if not isinstance(mlp, BaseHessianRegularizedMLP):
        raise ValueError(
            f"estimator is {_describe(estimator)}. Pass a fitted "
            "HessianRegularizedMLPClassifier or HessianRegularizedMLPRegressor, or a "
            "Pipeline that ends with one; of a search, its best_estimator_."
        )
    check_is_fitted(mlp)
    return mlp


def _describe(estimator):
    """Describe what was passed, and what a pipeline ends with."""
    name = f"a {type(estimator).__name__}"
    if isinstance(estimator, Pipeline):
        return f"{name} that ends with a {type(estimator[-1]).__name__}"
    return name


def transformed(estimator, X):
    """Pass the data through the steps of a pipeline before its MLP."""
    if isinstance(estimator, Pipeline) and len(estimator) > 1:
        return estimator[:-1].transform(X)
    return X


def layer_names(mlp):
    """List the layer names as they appear in reinit_history_."""
    return [f"layers.{i}" for i in range(len(mlp.net_.module_.layers))]


def layer_name(mlp, layer):
    """Return the name of a layer, given its name or its index in coefs_."""
    names = layer_names(mlp)
    if isinstance(layer, Integral) and -len(names) <= layer < len(names):
        return names[layer]
    if layer in names:
        return layer
    raise ValueError(
        f"layer={layer!r} is not in this network. Use one of {names}, or an index into "
        f"coefs_ from {-len(names)} to {len(names) - 1}."
    )
