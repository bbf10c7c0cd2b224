"""The losses of regression that torch has in another scale, as torch criteria."""

import torch


class HalfSquaredError(torch.nn.MSELoss):
    """(z - y)^2 / 2, as MLPRegressor has it."""

    def forward(self, input, target):
        """Return half of the squared errors, or of their mean."""
        return super().forward(input, target) / 2


class HalfPoissonDeviance(torch.nn.PoissonNLLLoss):
    """exp(z) - y z + y log(y) - y, as MLPRegressor has it, for z = log of the mean."""

    def forward(self, log_input, target):
        """Return half of the deviances, or of their mean."""
        least = torch.xlogy(target, target) - target
        least = least.mean() if self.reduction == "mean" else least
        return super().forward(log_input, target) + least
