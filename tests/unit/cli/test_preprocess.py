"""``vesalius preprocess``: steps from texts, files in their order, what is broken is told."""

import json

import numpy as np
import pytest

from vesalius.cli import main
from vesalius.image import Grid, Volume
from vesalius.io import read, write
from vesalius.transform import STEPS, Pipeline, Step, nyul_landmarks, percentile, preprocess, quantiles


def image(path, number: int = 0, *, gain: float = 1.0) -> Volume:
    values = np.random.default_rng(number).normal(100, 20, (1, 9, 8, 7)) * gain
    volume = Volume(values.astype(np.float32), Grid.from_spacing((9, 8, 7), (1.0, 1.0, 2.5)))
    path.parent.mkdir(parents=True, exist_ok=True)
    write(volume, path)
    return read(path)  # as it lies in memory then


def test_one_image_by_two_steps_saved_and_replayed(tmp_path, told):
    source = image(tmp_path / "a.nii.gz")
    steps = ("--step", "gaussian sigma_mm=1.5", "--step", "z-score")
    done = told(
        "preprocess", tmp_path / "a.nii.gz", "-o", tmp_path / "b.nii.gz", *steps, "--save", tmp_path / "deep" / "p.json"
    )
    pipeline = Pipeline((Step("gaussian", {"sigma_mm": 1.5}), Step("z-score")))
    assert Pipeline.load(tmp_path / "deep" / "p.json") == pipeline
    assert done["pipeline"]["sha256"] == pipeline.sha256
    assert done["failed"] == 0
    np.testing.assert_array_equal(read(tmp_path / "b.nii.gz").array, preprocess(source, pipeline).array)
    assert read(tmp_path / "b.nii.gz").grid.is_close(source.grid)
    told("preprocess", tmp_path / "a.nii.gz", "-o", tmp_path / "c", "--pipeline", tmp_path / "deep" / "p.json")
    assert (tmp_path / "c" / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    more = ("--pipeline", tmp_path / "deep" / "p.json", "--step", "gamma exponent=2")
    told("preprocess", tmp_path / "a.nii.gz", "-o", tmp_path / "d", *more, "--save", tmp_path / "q.json")
    assert Pipeline.load(tmp_path / "q.json").steps == (*pipeline.steps, Step("gamma", {"exponent": 2}))


def test_a_folder_keeps_its_order_and_a_broken_file_stops_nothing(tmp_path, told, capsys):
    image(tmp_path / "in" / "x" / "a.nii.gz")
    image(tmp_path / "in" / "y" / "a.nrrd", 1)
    (tmp_path / "in" / "x" / "b.nii.gz").write_bytes(b"not a file")
    (tmp_path / "in" / "notes.txt").write_text("text")
    done = told("preprocess", tmp_path / "in", "-o", tmp_path / "out", "--step", "median", code=1)
    assert done["failed"] == 1
    assert [(one["image"], "error" in one) for one in done["images"]] == [
        ("x/a.nii.gz", False),
        ("x/b.nii.gz", True),
        ("y/a.nrrd", False),
    ]
    made = sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert made == ["x/a.nii.gz", "y/a.nrrd"]
    assert main(["preprocess", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--step", "median"]) == 1
    captured = capsys.readouterr()
    assert "x/b.nii.gz" in captured.err
    assert len(captured.out.splitlines()) == 2


@pytest.mark.parametrize(
    ("step", "ending", "dtype"),
    [("median", ".png", "uint8"), ("gaussian", ".tif", "float32"), ("grey", ".tif", "float32")],
)
def test_pictures_stay_pictures_where_they_can(step, ending, dtype, tmp_path, told):
    array = np.random.default_rng(0).integers(0, 255, (3, 12, 10)).astype(np.uint8)
    write(Volume(array, Grid.from_spacing((12, 10), (1.0, 1.0))), tmp_path / "p.png")
    (done,) = told("preprocess", tmp_path / "p.png", "-o", tmp_path / "out", "--step", step)["images"]
    assert done["output"] == str(tmp_path / "out" / f"p{ending}")
    made = read(done["output"])
    assert made.array.dtype.name == dtype
    assert made.channels == (1 if step == "grey" else 3)


def test_a_dicom_folder(tmp_path, told, shared_data):
    (done,) = told(
        "preprocess", shared_data / "lung_ct_rtstruct" / "ct", "-o", tmp_path / "o", "--step", "window preset=lung"
    )["images"]
    made = read(done["output"])
    assert done["output"].endswith("ct.nii.gz")
    assert made.array.min() == pytest.approx((1350 - 1000) / 1500, abs=0.02)  # air
    assert made.array.max() == 1


def test_landmarks_are_learnt_from_a_folder_after_the_steps_before(tmp_path, told):
    scans = [image(tmp_path / "in" / f"{n}.nii.gz", n, gain=1 + n) for n in range(3)]
    steps = ("--step", "percentile", "--step", f"nyul landmarks={tmp_path / 'in'} over=all")
    told("preprocess", tmp_path / "in", "-o", tmp_path / "out", *steps, "--save", tmp_path / "p.json")
    marks = nyul_landmarks([percentile(scan) for scan in scans], over="all")
    assert Pipeline.load(tmp_path / "p.json").steps[1].arguments == {"landmarks": marks, "over": "all"}
    (tmp_path / "marks.json").write_text(json.dumps(marks))
    steps = ("--step", "percentile", "--step", f"nyul over=all landmarks={tmp_path / 'marks.json'}")
    told("preprocess", tmp_path / "in", "-o", tmp_path / "out2", *steps, "--save", tmp_path / "q.json")
    assert (tmp_path / "p.json").read_bytes() == (tmp_path / "q.json").read_bytes()
    assert (tmp_path / "out" / "1.nii.gz").read_bytes() == (tmp_path / "out2" / "1.nii.gz").read_bytes()


def test_a_histogram_to_match_lies_in_the_pipeline(tmp_path, told):
    source, other = image(tmp_path / "a.nii.gz"), image(tmp_path / "b.nii.gz", 1, gain=5)
    step = f"match-histogram reference='{tmp_path / 'b.nii.gz'}'"
    told(
        "preprocess", tmp_path / "a.nii.gz", "-o", tmp_path / "c.nii.gz", "--step", step, "--save", tmp_path / "p.json"
    )
    pipeline = Pipeline.load(tmp_path / "p.json")
    assert pipeline.steps[0].arguments["reference"] == quantiles(other)
    (tmp_path / "b.nii.gz").unlink()
    np.testing.assert_array_equal(read(tmp_path / "c.nii.gz").array, preprocess(source, pipeline).array)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("gaussiann", "did you mean 'gaussian'"),
        ("gaussian sigma=1", "did you mean 'sigma_mm'"),
        ("gaussian sigma_mm=wide", "sigma-mm must be a number, not 'wide'"),
        ("gaussian sigma_mm=-1", r"step 1 (gaussian): sigma_mm must be a number above 0"),
        ("gaussian 1.5", "must be a name and arguments"),
        ("", "must be a name and arguments"),
        ("gaussian 'sigma_mm=1", "cannot be understood"),
        ("window preset=lungs", "lung, mediastinum"),
        ("nyul", "needs landmarks"),
        ("nyul landmarks=missing.json", "landmarks must be"),
        ("match-histogram reference=missing.nii", "does not exist"),
        ("suv", "step 1 (suv): standardised uptake values are those of a PET"),
    ],
)
def test_steps_that_cannot_be(step, words, tmp_path, printed):
    image(tmp_path / "a.nii.gz")
    text = printed("preprocess", tmp_path / "a.nii.gz", "-o", tmp_path / "o.nii.gz", "--step", step, code=1)
    assert words in text
    assert not (tmp_path / "o.nii.gz").exists()


def test_places_that_cannot_be(tmp_path, printed):
    image(tmp_path / "in" / "a.nii.gz")
    image(tmp_path / "in" / "b.nii.gz")
    folder, one = tmp_path / "in", tmp_path / "in" / "a.nii.gz"
    step = ("--step", "median")
    assert "names one file, and there are 2" in printed("preprocess", folder, "-o", tmp_path / "o.nii", *step, code=1)
    assert "replace the image" in printed("preprocess", one, "-o", one, *step, code=1)
    assert "replace the image" in printed("preprocess", folder, "-o", folder, *step, code=1)
    assert "no such file" in printed("preprocess", tmp_path / "none", "-o", tmp_path / "o", *step, code=1)
    assert "not written as DICOM" in printed("preprocess", one, "-o", tmp_path / "o.dcm", *step, code=1)
    assert "needs a step" in printed("preprocess", one, "-o", tmp_path / "o", code=1)
    assert "is empty" in printed("preprocess", "", "-o", tmp_path / "o", *step, code=1)
    (tmp_path / "empty").mkdir()
    assert "no image" in printed("preprocess", tmp_path / "empty", "-o", tmp_path / "o", *step, code=1)
    (tmp_path / "marks.json").write_text('{"a": 1}')
    nyul = ("--step", f"nyul landmarks={tmp_path / 'marks.json'}")
    assert "JSON list of numbers" in printed("preprocess", one, "-o", tmp_path / "o", *nyul, code=1)


def test_results_below_the_folder_are_not_taken_for_its_images(tmp_path, told):
    image(tmp_path / "a.nii.gz")
    for _ in range(2):
        done = told("preprocess", tmp_path, "-o", tmp_path / "out", "--step", "median")
        assert [one["image"] for one in done["images"]] == ["a.nii.gz"]
    done = told("preprocess", tmp_path / "a.nii.gz", "-o", tmp_path, "--step", "median", code=1)
    assert "replace the image" in done["error"]["message"]


def test_two_images_of_one_name(tmp_path, told):
    array = np.zeros((1, 4, 4), np.uint8)
    for name in ("a.png", "a.bmp"):
        write(Volume(array, Grid.from_spacing((4, 4), (1.0, 1.0))), tmp_path / name)
    done = told("preprocess", tmp_path, "-o", tmp_path / "out", "--step", "grey", code=1)
    assert "another image was written to a.png" in next(one["error"] for one in done["images"] if "error" in one)
    assert done["failed"] == 1


def test_the_help_lists_every_step(printed):
    text = printed("preprocess", "--help")
    for name in STEPS:
        assert f"\n  {name}: " in text
    assert "sigma_mm=1.0  Standard deviation, mm" in text
