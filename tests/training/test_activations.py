"""The activations that scikit-learn lacks: initial weights, conversion."""

import numpy as np
import pytest
from training_cases import X, Y

from sklearn_hessreg import HessianRegularizedMLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
GAINS = {
    "leaky_relu": (2 / (1 + 0.01**2)) ** 0.5,
    "selu": 0.75,
    **dict.fromkeys(["elu", "gelu", "silu", "mish"], 2**0.5),
}
every_activation = pytest.mark.parametrize("activation", GAINS)


def make(**options):
    options = {"hidden_layer_sizes": (6, 5), "max_iter": 3, "random_state": 0} | options
    return HessianRegularizedMLPClassifier(**options)


@every_activation
def test_initial_weights_are_those_of_relu_times_the_gain(activation):
    # a step so small that what is returned is what was drawn
    still = {"k": 0, "max_iter": 1, "alpha": 0, "learning_rate_init": 1e-300}
    relu, other = (
        make(activation=name, **still).fit(X, Y) for name in ("relu", activation)
    )
    for a, b in zip(
        relu.coefs_ + relu.intercepts_, other.coefs_ + other.intercepts_, strict=True
    ):
        np.testing.assert_allclose(b, GAINS[activation] * a, rtol=1e-14)


@every_activation
def test_conversion_is_refused_with_what_is_possible(activation):
    clf = make(activation=activation).fit(X, Y)
    with pytest.raises(
        ValueError, match=rf"activation='{activation}'.*'identity'.*'tanh'.*skops"
    ):
        clf.to_sklearn()
