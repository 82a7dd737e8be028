"""``vesalius calibrate``, and what `segment`, `show` and `models` tell of it."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from phantoms import ball_case, ball_dataset, untrained_bundle, write_cases

from vesalius.bundle import Bundle
from vesalius.io import read, read_labels, write

SMALL = (16, 16, 16)


@pytest.fixture(scope="module")
def bundle():
    made = untrained_bundle(ball_dataset(2), patch_size=SMALL)
    return replace(made, plan=replace(made.plan, mirror_axes=()))


@pytest.fixture(scope="module")
def model(bundle, tmp_path_factory):
    return bundle.save(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Ten cases in a manifest; the first two are of one person. Sites are known of most."""
    folder = write_cases(tmp_path_factory.mktemp("data"), [ball_case(n, shape=SMALL) for n in range(10)])
    lines = ["case,image,reference,patient,group:site"]
    for n in range(10):
        site = "" if n == 9 else "AB"[n % 2]
        lines.append(f"case{n},images/case{n}.nii.gz,labels/case{n}.nii.gz,p{max(n, 1)},{site}")
    (folder / "cases.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def calibrated(model, data, tmp_path_factory):
    """The bundle's folder after ``vesalius calibrate``."""
    from vesalius.cli import main

    out = tmp_path_factory.mktemp("calibrated")
    arguments = ["calibrate", model, data / "cases.csv", "-o", out, "--labels", "ball=1,core=2", "--missed", "0.5,0.9"]
    assert main([*map(str, arguments), "--json"]) == 0
    return out


def test_the_card_tells_all_and_the_weights_stay(model, calibrated, told):
    before, card = Bundle.load(model), Bundle.load(calibrated).card
    after = Bundle.load(calibrated)
    assert all(np.array_equal(array, after.weights[name]) for name, array in before.weights.items())
    assert (after.plan, card.name) == (before.plan, before.card.name)
    promised = card.calibration
    assert (promised.cases, promised.persons) == (10, 9)
    assert set(promised.factors) == {"ball", "core"}
    assert {value: part.cases for value, part in card.subgroups["site"].items()} == {"A": 5, "B": 4}
    assert set(card.intervals) == {"ball", "core", "mean"}
    assert told("show", calibrated)["card"]["calibration"]["factors"]["ball"] == list(promised.factors["ball"])


def test_people_are_told_too(calibrated, printed):
    text = printed("show", calibrated)
    card = Bundle.load(calibrated).card
    low, high = card.calibration.factors["core"]
    assert "calibrated on  10 cases of 9 persons that taught nothing" in text
    assert f"core: true size {low:.3g} to {high:.3g} times what is found (90 %)" in text
    assert "site           B: 4 cases" in text
    assert (
        "Dice           mean {:.4f} (95 % interval {:.4f} to {:.4f})".format(
            card.scores["mean"], *card.intervals["mean"]
        )
        in text
    )
    for share in card.calibration.outer:
        assert f"(--outer {share:g})" in text


def test_a_size_comes_with_its_interval(calibrated, data, tmp_path, told, printed):
    image = data / "images" / "case3.nii.gz"
    (one,) = told("segment", image, "--bundle", calibrated, "-o", tmp_path / "a.nii.gz")["images"]
    promised = Bundle.load(calibrated).card.calibration
    assert one["intervals"]["level"] == 0.9
    for name, ml in one["volume_ml"].items():
        expected = promised.interval(name, ml)
        assert one["intervals"]["volume_ml"][name] == pytest.approx(expected, rel=1e-5)
    low, high = promised.interval("ball", one["volume_ml"]["ball"])
    text = printed("segment", image, "--bundle", calibrated, "-o", tmp_path / "a.nii.gz")
    assert f"ball {one['volume_ml']['ball']:.4g} ml (90 %: {low:.4g} to {high:.4g}), core" in text


def test_a_table_of_sizes_has_the_intervals_as_columns(calibrated, model, data, tmp_path, told, printed):
    told("segment", data / "images" / "case3.nii.gz", "--bundle", calibrated, "-o", tmp_path / "a.nii.gz")
    command = ["measure", tmp_path / "a.nii.gz", "--calibration"]
    promised = Bundle.load(calibrated).card.calibration
    sizes = told(*command, calibrated, "-o", tmp_path / "a.csv")["sizes"]
    with (tmp_path / "a.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [size["name"] for size in sizes] == [row["name"] for row in rows] == ["ball", "core"]
    for size, row in zip(sizes, rows, strict=True):
        expected = promised.interval(size["name"], size["volume_ml"])
        assert (size["volume_low_ml"], size["volume_high_ml"], size["level"]) == (*expected, 0.9)
        assert (float(row["volume_low_ml"]), float(row["volume_high_ml"])) == pytest.approx(expected)
    assert "untrained is not calibrated" in printed(*command, model, code=1)
    assert "calibrated for anterior, posterior, and LABELS shows none" in printed(*command, "hippocampus", code=1)


def test_other_settings_are_promised_nothing(calibrated, data, tmp_path, told, printed):
    image = data / "images" / "case3.nii.gz"
    for setting in ("--no-mirror", "--overlap=0", "--no-postprocess", "--focus", "--members=0"):
        (one,) = told("segment", image, "--bundle", calibrated, "-o", tmp_path / "a.nii.gz", setting)["images"]
        assert "intervals" not in one
        text = printed(
            "segment", image, "--bundle", calibrated, "-o", tmp_path / "x.nii.gz", setting, "--outer", "0.5", code=1
        )
        assert "as it was calibrated" in text
    assert not (tmp_path / "x.nii.gz").exists()


def test_outer_regions_are_written_beside_and_not_made_twice(calibrated, data, tmp_path, told):
    thresholds = Bundle.load(calibrated).card.calibration.outer[0.9]
    command = ["segment", data / "images" / "case3.nii.gz", "--bundle", calibrated, "-o", tmp_path, "--outer", "0.9"]
    (one,) = told(*command, "--probabilities")["images"]
    assert one["outer"] == {name: f"case3-outer-{name}.nii.gz" for name in thresholds}
    found = read_labels(tmp_path / "case3.nii.gz").array
    chances = read(tmp_path / "case3-probabilities.nii.gz").array
    for number, name in enumerate(("ball", "core"), start=1):
        region = read_labels(tmp_path / one["outer"][name]).array
        assert np.array_equal(region > 0, (found == number) | (chances[number] >= np.float32(thresholds[name])))
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.nii.gz")}
    (again,) = told(*command, "--probabilities", "--resume")["images"]
    assert again["done_before"]
    assert again["outer"] == one["outer"]
    assert again["intervals"] == one["intervals"]
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.nii.gz")} == before
    (anew,) = told(*command[:-1], "0.5", "--probabilities", "--resume")["images"]
    assert "done_before" not in anew  # another share, another region


def test_pictures_have_intervals_in_pixels(tmp_path, told, printed):
    flat = untrained_bundle(ball_dataset(2, shape=(24, 20)), patch_size=(16, 16)).save(tmp_path / "flat")
    for n in range(4):
        case = ball_case(n, shape=(24, 20))
        grey = np.clip(case.image.array - 250, 0, 255).astype(np.uint8)
        write_cases(tmp_path / "data", [replace(case, image=case.image.with_array(grey))], ending=".png")
    command = ["calibrate", flat, tmp_path / "data", "-o", flat, "--level", "0.8", "--labels", "ball=1,core=2"]
    made = told(*command)
    assert made["calibration"]["persons"] == 4
    image = tmp_path / "data" / "images" / "case1.png"
    (one,) = told("segment", image, "--bundle", flat, "-o", tmp_path / "a.png")["images"]
    (low, high), size = one["intervals"]["voxels"]["ball"], one["voxels"]["ball"]
    assert low < size < high
    assert f"ball {size:,} voxels (80 %: {low:,.0f} to {high:,.0f})" in printed(
        "segment", image, "--bundle", flat, "-o", tmp_path / "a.png"
    )


def test_the_data_set_that_taught_it_is_refused(bundle, data, tmp_path, printed, told):
    mine = replace(bundle, provenance={"held_out": ["case2", "case5"], "training_cases": 8}).save(tmp_path / "mine")
    command = ["calibrate", mine, data / "cases.csv", "-o", tmp_path / "out", "--labels", "ball=1,core=2"]
    assert "with --held-out only the cases are used" in printed(*command, code=1)
    assert not (tmp_path / "out").exists()
    assert told(*command, "--held-out")["scores_on"] == "2 held-out cases of the data set that it was trained on"
    other = replace(bundle, provenance={"held_out": ["case2", "stranger"], "training_cases": 8}).save(
        tmp_path / "other"
    )
    assert "another data set" in printed("calibrate", other, *command[2:], "--held-out", code=1)
    every = {"held_out": [f"case{n}" for n in range(10)], "training_cases": 10, "folds": []}
    folds = replace(bundle, provenance=every).save(tmp_path / "folds")
    assert "that the segmenter was trained on" in printed("calibrate", folds, *command[2:], code=1)
    assert "taught one of its networks" in printed("calibrate", folds, *command[2:], "--held-out", code=1)
    assert "held no case out" in printed("calibrate", bundle.save(tmp_path / "b"), *command[2:], "--held-out", code=1)


def test_cases_that_cannot_be_used_are_named(model, tmp_path, told, printed):
    data = write_cases(tmp_path / "data", [ball_case(n, shape=SMALL) for n in range(3)])
    (data / "labels" / "case1.nii.gz").write_bytes(b"broken")
    command = ["calibrate", model, data, "-o", tmp_path / "out", "--labels", "ball=1,core=2"]
    assert [case["id"] for case in told(*command)["left_out"]] == ["case1"]
    assert "left out: case1: " in printed(*command)
    assert Bundle.load(tmp_path / "out").card.calibration.cases == 2


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (["--level", "90"], "level must be above 0 and below 1"),
        (["--missed", "10"], "each above 0 and below 1"),
        (["--missed", "few"], "must be written like 0.05,0.1"),
    ],
)
def test_wrong_numbers_are_told_before_anything_is_computed(wrong, words, model, data, tmp_path, printed):
    command = ["calibrate", model, data / "cases.csv", "-o", tmp_path / "out", "--labels", "ball=1,core=2"]
    assert words in printed(*command, *wrong, code=1)
    assert not (tmp_path / "out").exists()


def test_a_bundle_that_is_not_calibrated_has_no_outer_region(model, data, tmp_path, printed):
    image = data / "images" / "case1.nii.gz"
    text = printed("segment", image, "--bundle", model, "-o", tmp_path / "a.nii.gz", "--outer", "0.1", code=1)
    assert "not calibrated" in text
    assert not (tmp_path / "a.nii.gz").exists()


def test_outer_regions_of_a_broken_place_are_not_half_written(calibrated, tmp_path, printed):
    write(ball_case(1, shape=SMALL).image, tmp_path / "a.nii.gz")
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    printed(
        "segment",
        tmp_path / "a.nii.gz",
        "--bundle",
        calibrated,
        "-o",
        tmp_path / "file" / "b.nii.gz",
        "--outer",
        "0.5",
        code=1,
    )
    assert {path.name for path in tmp_path.iterdir()} == {"a.nii.gz", "file"}
