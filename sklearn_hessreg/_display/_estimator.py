"""What a display reads from an estimator: its classifier, layers and scores."""

from functools import partial
from numbers import Integral

from sklearn import get_config
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted
from skorch.utils import to_tensor

from sklearn_hessreg._classifier import HessianRegularizedMLPClassifier
from sklearn_hessreg._hessian import hessian_scores
from sklearn_hessreg._training._batches import to_samples


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


def score_layers(clf, X, y, sample_weight, names):
    """Compute the scores of the named layers on the given data, as in training."""
    X, y = clf._check_data(X, y, continuing=True)
    X, y, weight = clf._check_rows(X, y, sample_weight)
    inputs, targets = to_samples(X, y, weight, clf.n_outputs_)[:]
    scores = hessian_scores(
        clf.net_.module_,
        partial(clf.net_.get_loss, X=None),
        to_tensor(inputs, device=clf.net_.device),
        targets,
        layers=names,
        aggregation=clf.aggregation,
        curvature=clf.curvature,
        working_memory=get_config()["working_memory"],
    )
    return {name: S.cpu() for name, S in scores.items()}
