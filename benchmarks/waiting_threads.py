"""What does it cost that waiting threads spin (OpenMP's default) or sleep (what `vesalius` sets when it is crowded)?

    python benchmarks/waiting_threads.py

Times a training step of a small 3D U-Net in processes of their own, in turn: alone, and beside one busy process for
each core. Prints the median of the steps.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

STEP = """
import statistics, time
from vesalius.nets import UNetSpec
from vesalius.plan.measure import step_seconds
spec = UNetSpec.plain(ndim=3, in_channels=1, out_channels=3, features=(16, 32, 64), deep_supervision=True)
print(statistics.median(step_seconds(spec, (40, 56, 40), 2, repeats=1) for _ in range(5)))
"""
BUSY = "while True: pass"


def seconds(policy: str) -> float:
    """A step's median time in a fresh process under a wait policy; an empty one is the default."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    if policy:
        environment["OMP_WAIT_POLICY"] = policy
    made = subprocess.run([sys.executable, "-c", STEP], env=environment, capture_output=True, check=True)
    return float(made.stdout)


def measure(rounds: int = 3) -> dict[str, float]:
    """Both policies in turn."""
    found: dict[str, list[float]] = {"": [], "PASSIVE": []}
    for _ in range(rounds):
        for policy, times in found.items():
            times.append(seconds(policy))
    return {policy: statistics.median(times) for policy, times in found.items()}


def main() -> None:
    """Print two lines."""
    alone = measure()
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(os.cpu_count() or 1)]
    try:
        crowded = measure()
    finally:
        for process in busy:
            process.kill()
    for name, found in (("alone", alone), ("beside busy processes", crowded)):
        spin, sleep = found[""], found["PASSIVE"]
        print(f"{name:22} spinning {spin * 1000:6.0f} ms   sleeping {sleep * 1000:6.0f} ms   ratio {spin / sleep:.2f}")


if __name__ == "__main__":
    main()
