"""Time, peak memory and the speed of this machine, and tables of them."""

import json
import os
import platform
import statistics
import subprocess
import sys
import time

import torch


def median_seconds(function, repeats=5, limit=10.0):
    """Time a call: median of some repeats after one that does not count.

    A call that takes longer than `limit` seconds is not repeated and counts.
    """
    first = _seconds(function)
    if first > limit:
        return first
    return statistics.median(_seconds(function) for _ in range(repeats))


def medians_in_turn(functions, repeats):
    """Time functions that take turns, and take the median seconds of each."""
    times = [[] for _ in functions]
    for _ in range(repeats):
        for function, found in zip(functions, times, strict=True):
            found.append(_seconds(function))
    return [statistics.median(found) for found in times]


def peak_mib_of(function):
    """Measure in MiB what a call adds in memory at its peak (on Linux)."""
    _reset_peak()
    before = _peak_mib()
    function()
    return _peak_mib() - before


def median_seconds_and_mib(function):
    """Time a call, and measure in MiB what the first one adds in memory (on Linux)."""
    _reset_peak()
    before, times = _peak_mib(), []
    seconds = median_seconds(lambda: times.append(_peak_mib()) or function())
    # the peak is read when a call begins: that of the second is what the first needed
    times.append(_peak_mib())
    return seconds, times[1] - before


def _reset_peak():
    """Make what is resident the peak from now on."""
    with open("/proc/self/clear_refs", "w") as switch:
        switch.write("5")


def _peak_mib():
    """Return the largest resident memory of this process since the last reset."""
    with open("/proc/self/status") as lines:
        (line,) = (line for line in lines if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def _seconds(function):
    """Time one call."""
    start = time.perf_counter()
    function()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def gemm_flops(size=4096):
    """Measure the operations a second of a large matrix product in float32."""
    a = torch.randn(size, size)
    return 2 * size**3 / median_seconds(lambda: a @ a)


def in_new_process(script, *arguments):
    """Run a script that prints one line of JSON last; return what it says."""
    command = [sys.executable, script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def machine():
    """Describe the machine in one line."""
    name = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as lines:
            names = [line for line in lines if line.startswith("model name")]
        name = names[0].split(":")[1].strip() if names else name
    return (
        f"{name}, {torch.get_num_threads()} threads, Python "
        f"{platform.python_version()}, torch {torch.__version__}"
    )


def print_table(title, columns, rows):
    """Print rows of strings as a Markdown table."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    print(f"\n**{title}**\n")
    rule = ["-" * width for width in widths]
    for row in (columns, rule, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(f"| {' | '.join(cells)} |", flush=True)


def seconds(value):
    """Write seconds with three digits, and long ones in minutes or hours."""
    for unit, size in (("h", 3600), ("min", 60)):
        if value >= 2 * size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g} s" if value >= 1 else f"{1000 * value:.3g} ms"
