"""A run that is killed for good at any moment goes on to the same weights."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch
from phantoms import ball_case, write_cases

KILLS = 4


def start(data: Path, out: Path, *more: str) -> "subprocess.Popen[bytes]":
    # A checkpoint after every step, so that there are as many moments to be caught in as can be.
    code = (
        "import vesalius.train.loop as loop; loop.CHECKPOINT_S = 0.0; "
        "from vesalius.cli import main; raise SystemExit(main())"
    )
    words = ["fit", str(data), "-o", str(out), "--steps", "20", "--device", "cpu", "--set", "batch_size=2", *more]
    return subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )


def average(out: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(out / ".fit" / "checkpoint.pt", weights_only=True)["average"]
    return state


def test_killed_again_and_again(tmp_path: Path) -> None:
    data = write_cases(tmp_path / "data", [ball_case(n, shape=(32, 32)) for n in range(4)], ending=".tif")
    began = time.monotonic()
    with start(data, tmp_path / "whole") as whole:
        _, errors = whole.communicate(timeout=300)
    assert whole.returncode == 0, errors.decode()
    took = time.monotonic() - began
    moments = random.Random(5)
    for _ in range(KILLS):
        with start(data, tmp_path / "cut", "--resume") as child:
            try:
                child.communicate(timeout=moments.uniform(0.4, 1.0) * took)
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGKILL)
                child.communicate()
    with start(data, tmp_path / "cut", "--resume") as last:
        _, errors = last.communicate(timeout=300)
    assert last.returncode == 0, errors.decode()
    one, other = average(tmp_path / "whole"), average(tmp_path / "cut")
    assert all(torch.equal(one[name], other[name]) for name in one)
    left = [path.name for path in (tmp_path / "cut").rglob(".part-*")]
    assert left == []
