"""What a display reads from an estimator: its classifier, layers and scores."""

from numbers import Integral

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sklearn_hessreg._classifier import HessianRegularizedMLPClassifier


def fitted_classifier(estimator):
    """Return the fitted classifier itself, out of a pipeline if it is in one."""
    clf = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    if not isinstance(clf, HessianRegularizedMLPClassifier):
        raise ValueError(
            f"estimator is {_describe(estimator)}. Pass a fitted "
            "HessianRegularizedMLPClassifier or a Pipeline that ends with one; of a "
            "search, its best_estimator_."
        )
    check_is_fitted(clf)
    return clf


def _describe(estimator):
    """Say what was passed, and of a pipeline what it ends with."""
    name = f"a {type(estimator).__name__}"
    if isinstance(estimator, Pipeline):
        return f"{name} that ends with a {type(estimator[-1]).__name__}"
    return name


def fitted_method(clf):
    """Return the HessianReinit that took part in the classifier's training."""
    return dict(clf.net_.callbacks_)["hessian_reinit"]


def transformed(estimator, X):
    """Pass the data through the steps of a pipeline before its classifier."""
    if isinstance(estimator, Pipeline) and len(estimator) > 1:
        return estimator[:-1].transform(X)
    return X


def layer_names(clf):
    """List the names of the layers, as reinit_history_ has them."""
    return [f"layers.{i}" for i in range(len(clf.net_.module_.layers))]


def layer_name(clf, layer):
    """Turn an index into coefs_, or a name, into the name of a layer."""
    names = layer_names(clf)
    if isinstance(layer, Integral) and -len(names) <= layer < len(names):
        return names[layer]
    if layer in names:
        return layer
    raise ValueError(
        f"layer={layer!r} is not in this network. Use one of {names}, or an index into "
        f"coefs_ from {-len(names)} to {len(names) - 1}."
    )
