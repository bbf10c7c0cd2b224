"""Settings of the method that several tests share."""

# the paper's: few weights of the output layer
PAPER = {"k": 10, "n": 1, "curvature": "mean_loss", "optimizer_state": "keep"}
# the estimators with it, without validation data; what is scored is as in scikit-learn
PLAIN = {**PAPER, "early_stopping": False, "scoring": None}
