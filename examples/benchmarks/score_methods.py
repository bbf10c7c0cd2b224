"""Ways to the absolute row sums of a layer's Hessian: ours and other libraries'.

``python score_methods.py CASE METHOD`` times one of them in this process and prints
seconds, peak memory and, for the others, the difference from our scores as JSON.
"""

import json
import sys
import tempfile
from pathlib import Path

import torch
from backpack import backpack, extend
from backpack.extensions import HMP
from curvlinops import HessianLinearOperator
from measure import gemm_flops, median_seconds, median_seconds_and_mib
from score_cases import CASES
from torch.func import functional_call, hessian
from torch.nn import functional as F

from sklearn_hessreg import hessian_scores

SCORES = Path(tempfile.gettempdir()) / "hessreg_benchmark_scores.pt"
COLUMNS = 64  # Hessian-vector products in one batch, and in a sample of them


def ours(case):
    """Score the layers with hessian_scores."""
    return hessian_scores(
        case.module,
        F.cross_entropy,
        case.inputs,
        case.targets,
        layers=case.layers,
        aggregation="sum",
        curvature=case.curvature,
    )[case.layers[0]]


def _loss_of_weight(case):
    """Return the loss as a function of the layer's weight, and the weight."""
    key = f"{case.layers[0]}.weight"
    state = {name: p.detach() for name, p in case.module.named_parameters()}

    def loss_of(W):
        outputs = functional_call(case.module, {**state, key: W}, (case.inputs,))
        return F.cross_entropy(outputs, case.targets)

    return loss_of, state[key]


def torch_func(case):
    """Materialise the block by torch.func.hessian."""
    J, W = _loss_of_weight(case)
    return hessian(J)(W).abs().flatten(W.ndim).sum(-1)


def torch_autograd(case):
    """Materialise the block by torch.autograd.functional.hessian."""
    J, W = _loss_of_weight(case)
    block = torch.autograd.functional.hessian(J, W)
    return block.abs().flatten(W.ndim).sum(-1)


def _row_sums(product, shape, columns):
    """Sum the absolute products with the unit vectors, `COLUMNS` at a time."""
    P = shape.numel()
    total = torch.zeros(P)
    for start in range(0, min(P, columns or P), COLUMNS):
        unit = torch.zeros(min(COLUMNS, P - start), P)
        unit[:, start : start + COLUMNS].fill_diagonal_(1)
        total[start : start + len(unit)] = product(unit).abs().flatten(1).sum(1)
    return total.view(shape)


def curvlinops(case, columns=None):
    """Multiply curvlinops' HessianLinearOperator with the unit vectors."""
    weight = case.module.get_submodule(case.layers[0]).weight
    H = HessianLinearOperator(
        case.module,
        torch.nn.CrossEntropyLoss(),
        [weight],
        [(case.inputs, case.targets)],
        check_deterministic=False,
    )
    return _row_sums(lambda unit: (H @ unit.T).T, weight.shape, columns)


def backpack_hmp(case, columns=None):
    """Multiply BackPACK's HMP with the unit vectors."""
    module, loss = extend(case.module), extend(torch.nn.CrossEntropyLoss())
    weight = module.get_submodule(case.layers[0]).weight
    with backpack(HMP()):
        loss(module(case.inputs), case.targets).backward()
        return _row_sums(
            lambda unit: weight.hmp(unit.view(-1, *weight.shape)), weight.shape, columns
        )


METHODS = {
    "sklearn_hessreg": ours,
    "torch.func.hessian": torch_func,
    "torch.autograd.functional.hessian": torch_autograd,
    "curvlinops": curvlinops,
    "BackPACK": backpack_hmp,
}


def gibibytes(case, method):
    """Bound from below, in GiB, what a method must hold at once, by its arithmetic.

    A materialised block has P * P numbers. torch.func.hessian pushes P tangents through
    the loss at once, the outputs and three derivatives of them; BackPACK as many
    through the layer as columns are asked for.
    """
    P, N, C = case.weights, len(case.inputs), 10
    columns = min(P, COLUMNS) * P
    shape = case.module.get_submodule(case.layers[0]).weight.flatten(1).shape
    numbers = {
        "sklearn_hessreg": P,
        "torch.func.hessian": P * P + 4 * P * N * C,
        "torch.autograd.functional.hessian": P * P,
        "curvlinops": columns,
        "BackPACK": columns + 4 * min(P, COLUMNS) * N * sum(shape),
    }
    return 4 * numbers[method] / 2**30


def main(case_name, method, columns):
    """Measure one method on one case."""
    case = CASES[case_name]()
    function = METHODS[method]
    options = {"columns": int(columns)} if int(columns) else {}
    small = CASES["smooth_tail"](8)
    ours(small)  # libraries are loaded and threads started before memory is read
    found = []
    time, memory = median_seconds_and_mib(
        lambda: found.append(function(case, **options).detach())
    )
    scores = found[0]
    result = {
        "seconds": time,
        "mib": memory,
        "gemm": gemm_flops(),
        "step": median_seconds(lambda: _forward_and_backward(case)),
    }
    if method == "sklearn_hessreg":
        torch.save(scores, SCORES)
    elif not options:
        expected = torch.load(SCORES, weights_only=True)
        result["difference"] = ((scores - expected).abs().max() / expected.max()).item()
    print(json.dumps(result))


def _forward_and_backward(case):
    """Make one pass of training over the samples."""
    case.module.zero_grad()
    F.cross_entropy(case.module(case.inputs), case.targets).backward()


if __name__ == "__main__":
    main(*sys.argv[1:])
