"""``vesalius stream``: what it prints, keeps and refuses."""

import csv
import shutil
from dataclasses import replace

import numpy as np
import pytest
from films import picture
from phantoms import ball_dataset, untrained_bundle

from vesalius import segment
from vesalius.bundle.lineage import mark_withdrawn
from vesalius.cli import main
from vesalius.io import read_labels, write
from vesalius.predict import load_segmenter


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    made = untrained_bundle(ball_dataset(2, shape=(20, 24)), patch_size=(16, 16))
    return replace(made, plan=replace(made.plan, mirror_axes=(0,))).save(tmp_path_factory.mktemp("bundle") / "flat")


@pytest.fixture
def film(tmp_path):
    (tmp_path / "film").mkdir()
    for number in range(5):
        write(picture(number), tmp_path / "film" / f"{number}.png")
    return tmp_path / "film"


ALWAYS = ("--device", "cpu", "--backend", "torch-float32")


def test_every_frame_is_kept_in_every_way(told, bundle, film, tmp_path):
    out = [tmp_path / name for name in ("labels", "stack.tif", "times.csv", "overlay.mp4")]
    kept = [word for path in out for word in ("-o", path)]
    result = told("stream", film, "--bundle", bundle, "--every-frame", "--rate", 25, *ALWAYS, *kept)
    assert (result["frames"], result["dropped"], result["stale"]) == (5, 0, 0)
    assert (result["ended"], result["outputs"]) == ("the footage ended", [str(path) for path in out])
    assert result["frames_a_second"] > 0
    for name in ("latency", "waited", "computed"):
        quantiles = [result[name][key] for key in ("p50_ms", "p95_ms", "p99_ms", "largest_ms")]
        assert 0 < quantiles[0] <= quantiles[1] <= quantiles[2] <= quantiles[3] * 1.01
    segmenter = load_segmenter(bundle, device="cpu", backend="torch-float32")
    stack = read_labels(out[1]).array
    for number in range(5):
        expected = segment(picture(number), segmenter).labels.array
        np.testing.assert_array_equal(read_labels(out[0] / f"{number:06d}.png").array, expected)
        np.testing.assert_array_equal(stack[..., number], expected)
    with out[2].open(encoding="utf-8") as file:
        assert [row["frame"] for row in csv.DictReader(file)] == list("01234")
    assert out[3].stat().st_size > 0


def test_settings_reach_the_segmenter(told, bundle, film, tmp_path):
    settings = ("--no-mirror", "--overlap", "0", "--no-postprocess", "--frames", 2, "--queue", 3)
    result = told("stream", film, "--bundle", bundle, "--every-frame", *ALWAYS, *settings, "-o", tmp_path / "a.tif")
    assert (result["frames"], result["ended"]) == (2, "enough was seen")
    expected = segment(picture(1), bundle, mirror=False, overlap=0, device="cpu", backend="torch-float32")
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif").array[..., 1], expected.labels.array)


def test_a_marked_bundle_is_told(bundle, film, tmp_path, capsys):
    marked = shutil.copytree(bundle, tmp_path / "marked")
    arguments = ["stream", str(film), "--every-frame", "--frames", "1", *ALWAYS, "--bundle"]
    assert main([*arguments, str(marked)]) == 0
    assert "withdrawn" not in capsys.readouterr().err
    mark_withdrawn(marked, "r1", ["a0", "b1"], at="2026-01-01")
    assert main([*arguments, str(marked)]) == 0
    assert "vesalius: marked: 2 patients of its training have withdrawn consent" in capsys.readouterr().err


def test_people_get_a_table(printed, bundle, film):
    text = printed("stream", film, "--bundle", bundle, "--every-frame", *ALWAYS, "--smooth", "0.5", "--whole-frame")
    lines = text.splitlines()
    assert lines[0].startswith("5 frames, ")
    assert lines[0].endswith("0 dropped, 0 stale; the footage ended")
    assert [line.split()[0] for line in lines[1:]] == ["ms", "latency", "waited", "computed"]


def test_a_film_is_watched_in_real_time(told, bundle, film):
    result = told("stream", film, "--bundle", bundle, *ALWAYS, "--rate", 100, "--stale-after", 0.001)
    assert result["frames"] + result["dropped"] == 5
    assert result["stale"] == result["frames"] > 0


def test_an_interruption_keeps_what_there_is(told, bundle, film, tmp_path, monkeypatch):
    from vesalius.predict.stream import Tally

    real = Tally.add

    def interrupt(self, found):
        real(self, found)
        if self.frames == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Tally, "add", interrupt)
    result = told("stream", film, "--bundle", bundle, "--every-frame", *ALWAYS, "-o", tmp_path / "a.csv")
    assert (result["ended"], result["frames"]) == ("interrupted", 3)
    assert len((tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()) == 1 + 2


def test_footage_that_breaks_keeps_what_there_is_and_fails(told, bundle, film, tmp_path):
    (film / "3.png").write_bytes((film / "3.png").read_bytes()[:-40])
    result = told("stream", film, "--bundle", bundle, "--every-frame", *ALWAYS, "-o", tmp_path / "a.csv", code=1)
    assert result["error"]["type"] == "FormatError"
    assert "3.png" in result["error"]["message"]
    assert len((tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()) == 1 + 3


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--frames", "0"), "--frames must be at least 1"),
        (("--smooth", "2"), "weight of a new frame"),
        ((), "does not say how many frames a second"),
        (("--every-frame", "-o", "a.gif"), "unknown kind of output"),
        (("--every-frame", "--backend", "abacus"), "unknown backend 'abacus'"),
    ],
)
def test_wrong_use_is_told(told, bundle, film, arguments, why):
    assert why in told("stream", film, "--bundle", bundle, "--device", "cpu", *arguments, code=1)["error"]["message"]


def test_help_is_there(capsys):
    assert main(["stream", "--help"]) == 0
    assert "--every-frame" in capsys.readouterr().out
