"""What does it cost that waiting threads spin long (OpenMP's default), briefly (as `vesalius` says), or sleep at once?

    python benchmarks/waiting_threads.py

Times a training step of a small 3D U-Net in processes of their own, in turn: alone, beside one busy process, and beside
one for each core. Prints the median of the processes' medians.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Mapping

STEP = """
import statistics
from vesalius.nets import UNetSpec
from vesalius.plan.measure import step_seconds
spec = UNetSpec.plain(ndim=3, in_channels=1, out_channels=3, features=(16, 32, 64), deep_supervision=True)
print(statistics.median(step_seconds(spec, (40, 56, 40), 2, repeats=1) for _ in range(5)))
"""
BUSY = "while True: pass"
POLICIES: Mapping[str, Mapping[str, str]] = {
    "long": {},
    "briefly": {"GOMP_SPINCOUNT": "1000"},
    "not at all": {"OMP_WAIT_POLICY": "PASSIVE"},
}


def seconds(policy: Mapping[str, str]) -> float:
    """A step's median time in a fresh process under a wait policy."""
    others = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    made = subprocess.run([sys.executable, "-c", STEP], env={**others, **policy}, capture_output=True, check=True)
    return float(made.stdout)


def measure(rounds: int = 5) -> dict[str, float]:
    """All policies in turn."""
    found: dict[str, list[float]] = {name: [] for name in POLICIES}
    for _ in range(rounds):
        for name, times in found.items():
            times.append(seconds(POLICIES[name]))
    return {name: statistics.median(times) for name, times in found.items()}


def main() -> None:
    """Print a line for each number of busy processes."""
    print("threads that wait spin " + "".join(f"{name:>12}" for name in POLICIES))
    for count in sorted({0, 1, os.cpu_count() or 1}):
        busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
        try:
            found = measure()
        finally:
            for process in busy:
                process.kill()
        print(
            f"beside {count} busy processes" + "".join(f"{1000 * found[name]:>9.0f} ms" for name in POLICIES),
            flush=True,
        )


if __name__ == "__main__":
    main()
