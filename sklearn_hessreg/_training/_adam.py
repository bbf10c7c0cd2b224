"""Adam with epsilon added where Kingma and Ba, and MLPClassifier, add it."""

import torch

from sklearn_hessreg._training._uncompiled import Uncompiled

FUSED = getattr(torch, "_fused_adam_", None)  # private in torch


class Adam(Uncompiled, torch.optim.Adam):
    """torch's Adam, but adds eps to sqrt(v) before the bias correction, not after.

    The two differ wherever gradients are not large compared with eps. One case is
    weights behind a constant feature, which only the penalty moves. torch's fused
    kernel is called directly where it is available, because torch's wrapper around it
    takes longer than a small net's backward pass.
    """

    @torch.no_grad()
    def step(self, closure=None):
        """Take one step, with torch's epsilon set to eps / sqrt(1 - beta_2 ** t)."""
        with torch.enable_grad():
            loss = None if closure is None else closure()
        if FUSED is None:
            self._public_step()
            return loss
        for group in self.param_groups:
            self._step_group(group)
        return loss

    # otherwise torch records every step for its profiler and calls step hooks
    step.hooked = True  # type: ignore[attr-defined]

    def register_step_pre_hook(self, hook):
        """Refuse hooks, which this step does not call."""
        raise RuntimeError(
            "solver='adam' calls no hooks of the optimizer's step. Use "
            "solver=torch.optim.Adam, which does, or a skorch callback."
        )

    register_step_post_hook = register_step_pre_hook

    def _public_step(self):
        """Take torch's own step, with each group's epsilon adjusted for this step."""
        given = [group["eps"] for group in self.param_groups]
        for group in self.param_groups:
            states = [self.state[parameter] for parameter in group["params"]]
            t = 1 + max((s["step"].item() for s in states if s), default=0)
            group["eps"] /= (1 - group["betas"][1] ** t) ** 0.5
        try:
            super().step()
        finally:
            for group, eps in zip(self.param_groups, given, strict=True):
                group["eps"] = eps

    def _step_group(self, group):
        """Update the parameters of a group and their states in place."""
        parameters = group["params"]
        grads = [parameter.grad for parameter in parameters]
        if any(grad is None for grad in grads):  # frozen
            parameters = [p for p in parameters if p.grad is not None]
            grads = [parameter.grad for parameter in parameters]
            if not parameters:
                return
        states = [self.state[parameter] for parameter in parameters]
        if not all(states):
            self._init_group(group, *([] for _ in range(6)))
        steps = _joined_steps(states)
        steps[0]._base.add_(1)  # all at once: a call takes longer than the addition
        beta_1, beta_2 = group["betas"]
        FUSED(
            parameters,
            grads,
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            steps,
            lr=group["lr"],
            beta1=beta_1,
            beta2=beta_2,
            weight_decay=group["weight_decay"],
            # step counts may differ between parameters if some were frozen for a while
            eps=group["eps"] / (1 - beta_2 ** steps[0].item()) ** 0.5,
            amsgrad=False,
            maximize=False,
        )


def _joined_steps(states):
    """Return the step counts as views of one tensor, which is how they are stored."""
    steps = [state["step"] for state in states]
    joined = steps[0]._base
    whole = joined is not None and joined.shape == (len(steps),)
    if not (whole and all(step._base is joined for step in steps)):
        steps = list(torch.stack(steps))
        for state, step in zip(states, steps, strict=True):
            state["step"] = step
    return steps
