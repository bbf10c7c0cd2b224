"""Scores of a layer beside other libraries: tables of time and memory.

``make bench`` runs it. Each figure comes from a process of its own, the median of five
calls after one that does not count, or the only one if it takes more than ten seconds;
memory is what the first call adds to the process.
"""

from pathlib import Path

from measure import in_new_process, machine, print_table, seconds
from score_cases import CASES
from score_events import main as measure_events
from score_methods import COLUMNS, METHODS, gibibytes

WORKER = Path(__file__).with_name("score_methods.py")
LIMIT = 8  # GiB that a method may hold
MOST_COLUMNS = 4096  # of a Hessian; where there are more, a sample is timed


def measure_case(name):
    """Time all methods on one case and print the table."""
    case = CASES[name]()
    rows = []
    for method in METHODS:
        need = gibibytes(case, method)
        if case.curvature == "per_sample" and method != "sklearn_hessreg":
            rows.append([method, *["-"] * 4, "computes no absolute value per sample"])
        elif need > LIMIT:
            rows.append([method, *["-"] * 4, f"needs {need:,.0f} GiB at least"])
        else:
            rows.append(row(name, case, method))
    columns = ["method", "time", "peak memory", "x floor", "x step", "remark"]
    print_table(f"{case.title}: P={case.weights:,} weights", columns, rows)


def row(name, case, method):
    """Measure one method on one case and write its row of the table."""
    sampled = method in ("curvlinops", "BackPACK") and case.weights > MOST_COLUMNS
    found = in_new_process(WORKER, name, method, COLUMNS if sampled else 0)
    time, remark = found["seconds"], ""
    if sampled:
        time *= case.weights / COLUMNS
        remark = f"from {COLUMNS} of {case.weights:,} columns"
    elif "difference" in found:
        remark = f"differs by {found['difference']:.0e}"
    return [
        method,
        seconds(time),
        f"{found['mib']:,.0f} MiB",
        f"{time * found['gemm'] / case.flops:.2g}",
        f"{time / found['step']:.2g}",
        remark,
    ]


if __name__ == "__main__":
    print(machine())
    print(
        "x floor: time over the operations of the formula, zeros included, at the "
        "speed of a 4096 x 4096 product; x step: over a forward and backward pass."
    )
    for name in CASES:
        measure_case(name)
    measure_events()
