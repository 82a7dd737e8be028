"""A folder that is being segmented is killed for good, again and again: it goes on, and ends with the same results."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from phantoms import ball_case, ball_dataset, untrained_bundle

from vesalius.cli import main
from vesalius.io import read_labels, write
from vesalius.predict.journal import NAME as JOURNAL

IMAGES, KILLS = 20, 2
SHAPE = (24, 20, 20)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The arguments, without the folder of results."""
    place = tmp_path_factory.mktemp("killed")
    (place / "images").mkdir()
    for number in range(IMAGES):
        write(ball_case(number, shape=SHAPE).image, place / "images" / f"ball{number:02}.nii.gz")
    bundle = untrained_bundle(ball_dataset(2), patch_size=(16, 16, 16)).save(place / "bundle")
    arguments = [
        str(place / "images"),
        "--bundle",
        str(bundle),
        "--device",
        "cpu",
        "--backend",
        "torch-float32",
        "--no-mirror",
    ]
    return ["segment", *arguments]


def start(words: list[str], *more: object) -> subprocess.Popen[bytes]:
    # In single precision, so that the same numbers come from every process.
    code = "from vesalius.cli import main; raise SystemExit(main())"
    command = [sys.executable, "-c", code, *words, *map(str, more)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def results(out: Path) -> dict[str, Path]:
    return {path.name: path for path in sorted(out.glob("[!.]*.nii.gz"))}


def test_killed_again_and_again(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "-o", str(tmp_path / "whole")]) == 0
    whole, out = results(tmp_path / "whole"), tmp_path / "cut"
    assert len(whole) == len((tmp_path / "whole" / JOURNAL).read_text().splitlines()) == IMAGES
    moments, seen = random.Random(5), 0
    for _ in range(KILLS):
        with start(words, "-o", out, "--resume") as child:
            wanted = seen + moments.randint(2, 5)
            while child.poll() is None and len(results(out)) < wanted:
                time.sleep(0.002)
            time.sleep(moments.uniform(0, 0.03))
            child.send_signal(signal.SIGKILL)
        written = results(out)
        assert seen < len(written) < IMAGES, "it was not caught on the way"
        for path in written.values():  # each is there whole
            assert read_labels(path).array.shape == SHAPE
        seen = len(written)
    before = {name: path.stat().st_mtime_ns for name, path in results(out).items()}
    capsys.readouterr()
    assert main([*words, "-o", str(out), "--resume"]) == 0
    found = re.search(rf"(\d+) of {IMAGES} were done before", capsys.readouterr().err)
    assert found is not None
    # Of each kill, one result may have been there and its line in the journal not yet.
    assert seen - KILLS <= int(found[1]) <= seen
    last = results(out)
    assert sum(before.get(name) == path.stat().st_mtime_ns for name, path in last.items()) == int(found[1])
    assert {name: path.read_bytes() for name, path in last.items()} == {
        name: path.read_bytes() for name, path in whole.items()
    }


def test_interrupted_it_ends_cleanly(words: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    with start(words, "-o", out) as child:
        while child.poll() is None and not results(out):
            time.sleep(0.002)
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=60)
    if child.returncode == 0:
        pytest.skip("it was done before it could be interrupted")
    assert child.returncode == 1
    told = ["vesalius: interrupted; the same command with --resume goes on", "vesalius: error: interrupted"]
    assert errors.decode().splitlines() == told
    written = results(out)
    assert 0 < len(written) < IMAGES
    assert {path.name for path in out.iterdir()} == {*written, JOURNAL}
    assert len((out / JOURNAL).read_text().splitlines()) == len(written)
