"""``vesalius pixels``: from scribbles to label maps."""

import json

import numpy as np
import pytest

from vesalius.cli import main
from vesalius.image import Grid, LabelMap, Labels, Meta, Volume
from vesalius.io import read_labels, write

pytest.importorskip("sklearn")


@pytest.fixture
def made(tmp_path):
    rng = np.random.default_rng(0)
    array = rng.integers(0, 60, (1, 40, 48), dtype=np.uint8)
    array[:, :, 24:] += 150
    bare = Grid((40, 48), np.eye(3))
    for name in ("one", "two"):
        write(Volume(array, bare, Meta(calibrated=False)), tmp_path / f"{name}.png")
    marks = np.zeros((40, 48), np.uint8)
    marks[10, 4:20], marks[30, 28:44] = 1, 2
    write(LabelMap(marks, bare, Labels.of([1, 2])), tmp_path / "marks.png")
    command = ["pixels", "train", str(tmp_path / "one.png"), "--scribbles", str(tmp_path / "marks.png")]
    command += ["--labels", "background=1,bright=2", "-o", str(tmp_path / "it"), "--trees", "10"]
    return tmp_path, command


def test_from_scribbles_to_label_maps(made, capsys):
    folder, command = made
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "16 voxels marked" in said
    assert "learnt by a random-forest" in said
    images = [str(folder / "one.png"), str(folder / "two.png")]
    how = ["--classifier", str(folder / "it"), "-o", str(folder / "out"), "--probabilities", "--json"]
    (folder / "out").mkdir()
    assert main(["pixels", "segment", *images, *how]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["failed"] == 0
    assert told["images"][0]["voxels"]["bright"] == pytest.approx(40 * 24, rel=0.05)
    found = read_labels(folder / "out" / "two.png").array
    assert np.mean((found > 0) == (np.arange(48) >= 24)) > 0.95
    assert (folder / "out" / "two-probabilities.npz").is_file()


def test_a_broken_image_is_told_and_the_rest_goes_on(made, capsys):
    folder, command = made
    assert main(command) == 0
    (folder / "two.png").write_bytes(b"no picture")
    (folder / "out").mkdir()
    images = [str(folder / "one.png"), str(folder / "two.png")]
    assert main(["pixels", "segment", *images, "--classifier", str(folder / "it"), "-o", str(folder / "out")]) == 1
    assert (folder / "out" / "one.png").is_file()
    assert "two.png" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--labels", "bright"], "background=1,nucleus=2"),
        (["--scales-mm", "a"], "1,2,4"),
        (["--features", "edges"], "did you mean 'edge'"),
    ],
)
def test_wrong_use_is_explained(change, words, made, capsys):
    _, command = made
    assert main([*command, *change]) == 1
    assert words in capsys.readouterr().err


def test_a_network_is_not_looked_for_in_a_classifier(made, capsys):
    folder, command = made
    assert main(command) == 0
    how = ["--bundle", str(folder / "it"), "-o", str(folder / "x.png")]
    assert main(["segment", str(folder / "one.png"), *how]) == 1
    assert "use it with `vesalius pixels segment`" in capsys.readouterr().err


def test_what_is_no_classifier_is_refused(made, capsys):
    folder, _ = made
    (folder / "empty").mkdir()
    how = ["--classifier", str(folder / "empty"), "-o", str(folder / "x.png")]
    assert main(["pixels", "segment", str(folder / "one.png"), *how]) == 1
    assert "no pixel classifier" in capsys.readouterr().err
    assert not (folder / "x.png").exists()
