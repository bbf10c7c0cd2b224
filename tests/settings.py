"""Settings of the method that several tests share."""

# the paper's: few weights of the output layer
PAPER = {"k": 10, "n": 1, "curvature": "mean_loss", "optimizer_state": "keep"}
