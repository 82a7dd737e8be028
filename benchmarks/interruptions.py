"""Does a run that is killed at any moment go on to the same weights?

Trains once without a disturbance through the command line, with a fixed number of steps and a fixed seed. Then, again
and again, it starts the same training, kills the process for good (SIGKILL) at a random moment between its start and
the time that the undisturbed run took, resumes it, and compares the final weights with those of the undisturbed run, in
single precision. Half of the runs are killed a second time while they go on. Checkpoints are made each second here.

    python benchmarks/interruptions.py ../shared/data/msd_hippocampus --kills 20 --steps 40
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch


def main() -> None:
    """Kill, resume, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="a data set that `vesalius fit` can read")
    parser.add_argument("--kills", type=int, default=20, help="how many runs are killed (20)")
    parser.add_argument("--steps", type=int, default=40, help="of each run (40)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="passed on to `vesalius fit`")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (0)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        plan = work / "plan.json"
        settings = [word for setting in args.set for word in ("--set", setting)]
        subprocess.run(
            [*VESALIUS, "plan", args.folder, "--steps", str(args.steps), *settings, "-o", str(plan)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        command = [*VESALIUS, "fit", args.folder, "--plan", str(plan), "--cache", str(work / "cases"), "-o"]
        began = time.monotonic()
        run(command, work / "whole")
        took_s = time.monotonic() - began
        print(f"undisturbed: {took_s:.0f} s", flush=True)
        moments = random.Random(args.seed)
        same = 0
        for number in range(1, args.kills + 1):
            out = work / f"killed-{number}"
            at = [moments.uniform(0, took_s)] + ([moments.uniform(0, took_s / 2)] if number % 2 else [])
            steps = []
            run(command, out, kill_after_s=at[0])
            steps.append(step_of(out))
            for moment in at[1:]:
                run([*command[:-1], "--resume", "-o"], out, kill_after_s=moment)
                steps.append(step_of(out))
            run([*command[:-1], "--resume", "-o"], out)
            equal = same_weights(out, work / "whole")
            same += equal
            when = ", ".join(f"{moment:.1f} s (checkpoint: {step})" for moment, step in zip(at, steps, strict=True))
            print(f"{number:3}  killed at {when}  {'same weights' if equal else 'OTHER WEIGHTS'}", flush=True)
            shutil.rmtree(out)
        print(f"{same} of {args.kills} runs reached the weights of the undisturbed one")


# With a checkpoint each second instead of each half minute, so that short runs have many of them.
CODE = (
    "import vesalius.train.loop as loop; loop.CHECKPOINT_S = 1.0; "
    "from vesalius.cli import main; raise SystemExit(main())"
)
VESALIUS = [sys.executable, "-c", CODE]


def run(command: list[str], out: Path, *, kill_after_s: float | None = None) -> None:
    """Run to the end, or kill on the way."""
    with subprocess.Popen([*command, str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            _, errors = process.communicate(timeout=kill_after_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return
    if process.returncode and kill_after_s is None:
        sys.exit(errors.decode())


def step_of(out: Path) -> int | str:
    """The step of the last checkpoint."""
    path = out / ".fit" / "checkpoint.pt"
    if not path.is_file():
        return "none"
    return int(torch.load(path, weights_only=True)["progress"]["step"])


def same_weights(one: Path, other: Path) -> bool:
    """Whether two runs ended with the same weights, bit by bit."""
    a, b = (torch.load(out / ".fit" / "checkpoint.pt", weights_only=True)["average"] for out in (one, other))
    return all(torch.equal(a[name], b[name]) for name in a)


if __name__ == "__main__":
    main()
