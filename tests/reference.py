"""Scores by definition: the Hessian block is materialised, in float64."""

from torch.func import functional_call, hessian


def reference_scores(module, loss, inputs, targets, name, curvature="mean_loss"):
    """Sum |d2 J / dW dW| over the last two dimensions of the block of layer `name`.

    `loss(outputs, targets)` is J. For "per_sample", `loss(outputs, targets, rows)`
    returns the share of J of the given rows; the blocks are added in absolute value.
    """
    key = f"{name}.weight" if name else "weight"
    weights = {k: p.detach() for k, p in module.named_parameters()}

    def block(share):
        def J(W):
            return share(functional_call(module, {**weights, key: W}, (inputs,)))

        return hessian(J)(weights[key]).abs()

    if curvature == "mean_loss":
        return block(lambda outputs: loss(outputs, targets)).sum((2, 3))
    blocks = (
        block(lambda outputs, n=n: loss(outputs, targets, [n]))
        for n in range(len(inputs))
    )
    return sum(blocks).sum((2, 3))
