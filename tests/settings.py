"""Settings of the method and a small estimator that several tests share."""

from sklearn_hessreg import HessianRegularizedMLPClassifier

# the paper's: few weights of the output layer
PAPER = {"k": 10, "n": 1, "curvature": "mean_loss", "optimizer_state": "keep"}
# the estimators with it, without validation data; what is scored is as in scikit-learn
PLAIN = {**PAPER, "early_stopping": False, "scoring": None}
SMALL = {
    **PLAIN,
    "hidden_layer_sizes": (8,),
    "batch_size": 25,
    "learning_rate_init": 0.01,
    "reinit_every": 1,
    "random_state": 0,
}


def small(kind=HessianRegularizedMLPClassifier, **options):
    """Make an estimator that trains quickly."""
    return kind(**{**SMALL, **options})
