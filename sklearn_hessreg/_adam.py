"""Adam with epsilon in the place where Kingma and Ba, and MLPClassifier, add it."""

import torch


class Adam(torch.optim.Adam):
    """torch's Adam, dividing by sqrt(v) + eps before the bias correction, not after.

    The two differ wherever gradients are not large beside eps, as those of weights
    behind a constant feature, which the penalty alone moves.
    """

    def step(self, closure=None):
        """Take one step, with torch's epsilon set to eps / sqrt(1 - beta_2 ** t)."""
        for group in self.param_groups:
            state = self.state[group["params"][0]]
            t = 1 + int(state.get("step", 0))
            group["eps"] = self.defaults["eps"] / (1 - group["betas"][1] ** t) ** 0.5
        return super().step(closure)
