"""``vesalius pixels``: from scribbles to label maps."""

import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from vesalius.bundle import Bundle
from vesalius.cli import main
from vesalius.errors import BundleError
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
    assert "vesalius: two: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--labels", "bright"], "--labels must be written like"),
        (["--scales-mm", "a"], "1,2,4"),
        (["--features", "edges"], "did you mean 'edge'"),
    ],
)
def test_wrong_use_is_explained(change, words, made, capsys):
    _, command = made
    assert main([*command, *change]) == 1
    assert words in capsys.readouterr().err


def test_a_classifier_is_used_and_shown_as_any_bundle_without_torch(made, capsys):
    folder, command = made
    assert main(command) == 0
    script = """
        import sys
        from vesalius.cli import main
        one, two, it, out = sys.argv[1:]
        assert main(["segment", one, two, "--bundle", it, "-o", out, "--probabilities", "--json"]) == 0
        assert main(["show", it, "--json"]) == 0
        assert "torch" not in sys.modules
    """
    places = [folder / "one.png", folder / "two.png", folder / "it", folder / "out"]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *places], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    segmented, shown = map(json.loads, done.stdout.splitlines())
    assert segmented["failed"] == 0
    assert [row["voxels"]["bright"] for row in segmented["images"]] == [pytest.approx(40 * 24, rel=0.05)] * 2
    assert (folder / "out" / "two-probabilities.npz").is_file()
    assert shown["model"] == "random-forest"
    assert shown["labels"] == ["background", "bright"]
    assert shown["provenance"]["marked"] == {"background": 16, "bright": 16}
    assert sum(shown["importances"].values()) == pytest.approx(1)
    # The verb of its own says the same.
    how = ["--classifier", str(folder / "it"), "-o", str(folder / "again.png")]
    assert main(["pixels", "segment", str(folder / "one.png"), *how]) == 0
    again = read_labels(folder / "again.png").array
    np.testing.assert_array_equal(again, read_labels(folder / "out" / "one.png").array)
    capsys.readouterr()
    assert main(["show", str(folder / "it")]) == 0
    assert "16 voxels of bright" in capsys.readouterr().out


def test_settings_of_networks_are_refused(made, capsys):
    folder, command = made
    assert main(command) == 0
    how = ["--bundle", str(folder / "it"), "-o", str(folder / "x.png"), "--overlap", "0.5", "--no-mirror"]
    assert main(["segment", str(folder / "one.png"), *how]) == 1
    assert "takes no setting of them (mirror, overlap)" in capsys.readouterr().err
    assert not (folder / "x.png").exists()
    with pytest.raises(BundleError, match="a classifier of pixels, not of networks"):  # what needs networks says so
        Bundle.load(folder / "it")


def test_python_takes_a_classifier_as_any_bundle(made):
    from vesalius.classical.pixels import load_pixels
    from vesalius.io import read
    from vesalius.predict import segment

    folder, command = made
    assert main(command) == 0
    image, classifier = read(folder / "two.png"), load_pixels(folder / "it")
    found = segment(image, folder / "it", probabilities=True)
    np.testing.assert_array_equal(found.labels.array, classifier.classify(image).array)
    assert found.probabilities is not None
    np.testing.assert_allclose(found.probabilities.array.sum(axis=0), 1, atol=1e-5)
    assert found.provenance["bundle"] == "it"
    np.testing.assert_array_equal(segment(image, classifier).labels.array, found.labels.array)
    with pytest.raises(BundleError, match="no settings of networks"):
        segment(image, classifier, overlap=0.25)
