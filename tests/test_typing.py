"""The public interface as a type checker sees it: `make lint` checks this file.

Where a line is marked to be ignored the checker must object, or the mark is unused.
"""

from typing import Any, assert_type

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from sklearn_hessreg import (
    HessianRegularizedMLPClassifier,
    HessianRegularizedMLPRegressor,
    HessianReinit,
    HessianScoresDisplay,
    ReinitHistoryDisplay,
    TrainingCurveDisplay,
    hessian_scores,
)

X: NDArray[np.float64] = np.random.default_rng(0).normal(size=(40, 3))
y = X[:, 0] > 0


def fitted() -> HessianRegularizedMLPClassifier:
    clf = HessianRegularizedMLPClassifier(
        (4,), reinit_every=1, max_iter=3, random_state=0, device="cpu", batch_size=20
    )
    return clf.fit(X, y, sample_weight=[1.0] * 40)


def test_estimator() -> None:
    clf = assert_type(fitted(), HessianRegularizedMLPClassifier)
    assert_type(clf.fit(csr_array(X), y.tolist()), HessianRegularizedMLPClassifier)
    assert_type(clf.partial_fit(X, y), HessianRegularizedMLPClassifier)
    assert_type(clf.predict_proba(X.tolist()), NDArray[Any])
    assert_type(clf.coefs_, list[NDArray[Any]])
    assert_type(clf.loss_, float)
    assert_type(clf.validation_scores_, list[float] | None)
    assert_type(clf.reinit_history_, list[dict[str, Any]])
    assert clf.predict(X).shape == (40,)


def test_regressor() -> None:
    reg = HessianRegularizedMLPRegressor("huber", (4,), delta=0.5, tol=1, k=0)
    assert_type(reg.fit(csr_array(X), X[:, 0]), HessianRegularizedMLPRegressor)
    assert_type(reg.partial_fit(X, X[:, 0].tolist()), HessianRegularizedMLPRegressor)
    assert_type(reg.predict(X.tolist()), NDArray[Any])
    HessianRegularizedMLPRegressor("log_loss")  # type: ignore[arg-type]


def test_misuse_of_the_estimator() -> None:
    HessianRegularizedMLPClassifier(importance="hesse")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        HessianRegularizedMLPClassifier(hidden_units=4)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        fitted().predict()  # type: ignore[call-arg]


def test_callback() -> None:
    def constant(tensor: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return torch.ones_like(tensor)

    HessianReinit(k=5, reinit_until=None, initializer=constant, aggregation="sum")
    HessianReinit(initializer="xavier")  # type: ignore[arg-type]
    assert HessianReinit(n=2).n == 2


def test_scores() -> None:
    scores = hessian_scores(
        torch.nn.Linear(3, 2),
        torch.nn.functional.cross_entropy,
        torch.as_tensor(X, dtype=torch.float32),
        torch.as_tensor(y).long(),
    )
    assert_type(scores.formulas, dict[str, str])
    assert_type(scores[""], torch.Tensor)
    assert scores[""].shape == (2, 3)


def test_displays() -> None:
    plt = pytest.importorskip("matplotlib.pyplot")
    clf = fitted()
    curve = TrainingCurveDisplay.from_estimator(clf, line_kw={"linewidth": 2})
    history = ReinitHistoryDisplay.from_estimator(clf, kind="units", layer=-1)
    scores = HessianScoresDisplay.from_estimator(clf, X, y, sort=False)
    assert_type(curve, TrainingCurveDisplay)
    assert_type(history.plot(kind="count"), ReinitHistoryDisplay)
    assert scores.ax_.get_title()
    plt.close("all")
