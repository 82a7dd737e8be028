"""From a folder of scans to a report, through the executable, on each kind of data that it is made for."""

import csv
import io
import json
import math
import re
import shutil
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from phantoms import ball_case, dataset_of, untrained_bundle, write_cases
from PIL import Image

from vesalius.cli import main
from vesalius.image import Case, Meta, Volume
from vesalius.io import read, read_labels, write

_STEPS = 40


def told(*arguments: Any, code: int = 0) -> Any:
    """What a verb prints with ``--json``: strict JSON, and nothing else."""

    def refuse(word: str) -> float:
        raise AssertionError(f"{word} is not JSON")

    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(io.StringIO()):
        assert main([*map(str, arguments), "--json"]) == code
    return json.loads(out.getvalue(), parse_constant=refuse)


def printed(*arguments: Any) -> str:
    """What a verb prints for people."""
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(io.StringIO()):
        assert main([str(a) for a in arguments]) == 0
    return out.getvalue()


# --- the data ---------------------------------------------------------------------------------------------------------


def volumes(folder: Path) -> None:
    """Thick slices, two labels."""
    write_cases(folder, (ball_case(n, shape=(32, 36, 8), spacing=(1.0, 1.0, 4.0)) for n in range(6)))


def sequences(folder: Path) -> None:
    """Two files an image, named as nnU-Net names channels; the ball is bright in one and dark in the other."""

    def channel(case: Case, number: int) -> Case:
        array = case.image.array if number == 0 else 900 - case.image.array
        image = Volume(array, case.image.grid, case.image.meta)
        return replace(case, id=f"{case.id}_{number:04d}", image=image)

    for case in (ball_case(n, shape=(20, 24, 16)) for n in range(5)):
        write_cases(folder, (channel(case, number) for number in (0, 1)))
        (folder / "labels" / f"{case.id}_0000.nii.gz").rename(folder / "labels" / f"{case.id}.nii.gz")
        (folder / "labels" / f"{case.id}_0001.nii.gz").unlink()


def pictures(folder: Path, colour: bool = False) -> None:
    """Pictures with black and white masks."""
    for place in ("images", "masks"):
        (folder / place).mkdir()
    for n in range(8):
        case = ball_case(n, shape=(48, 40))
        assert case.reference is not None
        grey = np.clip(case.image.array[0].T - 250, 0, 255).astype(np.uint8)
        shades = np.stack([grey, 255 - grey, grey // 2], axis=-1) if colour else grey
        Image.fromarray(shades).save(folder / "images" / f"eye{n}.png")
        Image.fromarray((case.reference.array.T > 0).astype(np.uint8) * 255).save(folder / "masks" / f"eye{n}.png")


def colours(folder: Path) -> None:
    """Colour pictures with black and white masks."""
    pictures(folder, colour=True)


@dataclass(frozen=True)
class Kind:
    """A kind of data, and what must be found out about it."""

    draw: Callable[[Path], None]
    cases: int
    channels: list[str]
    labels: dict[str, int]
    calibrated: bool = True
    ending: str = ".nii.gz"
    scheme: str = "z_score"


KINDS = {
    "volumes": Kind(volumes, 6, ["image"], {"ball": 1, "core": 2}),
    "sequences": Kind(sequences, 5, ["channel 0", "channel 1"], {"ball": 1, "core": 2}),
    "pictures": Kind(pictures, 8, ["image"], {"foreground": 255}, calibrated=False, ending=".png"),
    "colours": Kind(
        colours, 8, ["red", "green", "blue"], {"foreground": 255}, calibrated=False, ending=".png", scheme="rgb"
    ),
}


# --- the way ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Way:
    """What the verbs told on their way through one kind of data."""

    kind: Kind
    data: Path
    bundle: Path
    indexed: Any
    planned: Any
    fitted: Any


@pytest.fixture(scope="module", params=KINDS)
def way(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Way:
    """Index, plan and fit."""
    kind = KINDS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    data, plan = folder / "data", folder / "plan.json"
    data.mkdir()
    kind.draw(data)
    indexed = told("index", data)
    planned = told("plan", data, "--steps", _STEPS, "-o", plan)
    features = ",".join(["16"] * len(planned["network"]["strides"]))
    small = (f"network.features={features}", "batch_size=2", "optimisation.learning_rate=0.06")
    settings = [argument for one in small for argument in ("--set", one)]
    fitted = told("fit", data, "-o", folder / "bundle", "--plan", plan, *settings)
    return Way(kind, data, folder / "bundle", indexed, planned, fitted)


def images(way: Way) -> list[Path]:
    return sorted((way.data / "images").iterdir())


def test_index_finds_what_was_written(way):
    assert way.indexed["layout"] == "pairs"
    assert way.indexed["channels"] == way.kind.channels
    assert {label["name"]: label["values"] for label in way.indexed["labels"]} == {
        name: [value] for name, value in way.kind.labels.items()
    }
    assert (len(way.indexed["cases"]), way.indexed["left_out"]) == (way.kind.cases, [])


def test_the_plan_follows_from_the_data(way):
    planned = way.planned
    assert planned["ndim"] == len(planned["patch_size"]) == (3 if way.kind.calibrated else 2)
    assert planned["channels"] == way.kind.channels
    assert planned["calibrated"] is way.kind.calibrated
    assert {one["scheme"] for one in planned["normalisation"]} == {way.kind.scheme}
    assert planned["budget"]["steps"] == _STEPS
    if way.kind.draw is volumes:
        assert planned["spacing_mm"] == [1.0, 1.0, 4.0]
        assert planned["network"]["kernels"][0] == [3, 3, 1]  # nothing is mixed across thick slices at first


def test_fit_learns_and_leaves_a_bundle(way):
    assert {path.name for path in way.bundle.iterdir()} == {
        "bundle.json", "weights.safetensors", "history.csv", "curves.png", "events", ".fit",
    }  # fmt: skip
    fitted = way.fitted
    assert fitted["provenance"]["steps"] == _STEPS
    assert set(fitted["scores"]) == {*way.kind.labels, "mean"}
    assert "1 of 1 held-out cases" in fitted["scores_on"]
    assert fitted["left_out"] == []
    with (way.bundle / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert int(rows[-1]["step"]) == _STEPS
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    assert sum(not math.isnan(float(row["validation_dice"])) for row in rows) >= 10


def test_the_recipe_tells_what_was_set_by_hand_and_not_what_was_planned(way):
    assert not any(reason["why"] in way.fitted["recipe"] for reason in way.planned["reasons"])
    assert way.fitted["recipe"].startswith(f"unet; {_STEPS} steps of 2 patches")


def test_the_events_are_what_tensorboard_reads(way):
    from tensorboardX.proto.event_pb2 import Event

    (path,) = (way.bundle / "events").iterdir()
    raw, at, events = path.read_bytes(), 0, []
    while at < len(raw):
        length = int.from_bytes(raw[at : at + 8], "little")  # then 4 bytes of checksum, the event, and 4 more
        events.append(Event.FromString(raw[at + 12 : at + 12 + length]))
        at += 16 + length
    assert events[0].file_version == "brain.Event:2"
    last = {value.tag: event.step for event in events for value in event.summary.value}
    assert last.pop("validation_dice") > 0.9 * _STEPS  # it is looked at now and then only
    assert last == dict.fromkeys(("loss", "learning_rate"), _STEPS)


def test_show_describes_the_bundle(way):
    shown = told("show", way.bundle)
    assert shown["card"]["scores"] == way.fitted["scores"]
    assert shown["network"]["parameters"] > 1000
    assert shown["provenance"]["steps"] == _STEPS
    words = printed("show", way.bundle)
    assert f"{shown['network']['parameters']:,} parameters" in words
    assert "voxels seen by each output voxel" in words


def test_a_zip_of_the_bundle_is_the_bundle(way, tmp_path):
    inside = shutil.make_archive(str(tmp_path / "flat"), "zip", way.bundle)
    around = shutil.make_archive(str(tmp_path / "nested"), "zip", way.bundle.parent, way.bundle.name)
    image = images(way)[0] if len(way.kind.channels) != 2 else way.data / "images"
    found = []
    for place in (way.bundle, inside, around):
        assert told("show", place) == told("show", way.bundle)
        out = tmp_path / Path(place).stem
        told("segment", image, "--bundle", place, "-o", out, "--no-mirror")
        found.append(read_labels(min(out.iterdir())).array)
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


def test_segment_and_evaluate_a_folder(way, tmp_path):
    done = told("segment", way.data / "images", "--bundle", way.bundle, "-o", tmp_path / "found")
    assert (len(done["images"]), done["failed"], done["left_out"]) == (way.kind.cases, 0, [])
    for one in done["images"]:
        found = read_labels(one["output"])
        assert one["output"].endswith(f"{one['image']}{way.kind.ending}")
        source = next(path for path in images(way) if path.name.startswith(one["image"]))
        assert found.grid.is_close(read(source).grid)
        counts = found.counts()
        assert one["voxels"] == {name: counts.get(value, 0) for name, value in way.kind.labels.items()}
        if way.kind.calibrated:
            each_ml = found.grid.voxel_volume_mm3 / 1000
            assert one["volume_ml"] == pytest.approx({k: n * each_ml for k, n in one["voxels"].items()}, abs=1e-4)
        else:
            assert "volume_ml" not in one

    scored = told("evaluate", tmp_path / "found", way.data, "-o", tmp_path / "report")
    assert (scored["summary"]["cases"], scored["failed"]) == (way.kind.cases, [])
    assert set(scored["summary"]["values"]) == set(way.kind.labels)
    first = next(iter(way.kind.labels))
    assert scored["summary"]["values"][first]["dice"]["mean"] > 0.4  # it has learnt, in a few steps
    assert {path.name for path in (tmp_path / "report").iterdir()} == {"report.html", "scores.csv", "scores.json"}
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.count("data:image/") >= way.kind.cases
    sources = re.findall(r"(?:src|href)=[\"']?([^\"' >]+)", page)
    assert {source.partition(":")[0] for source in sources if not source.startswith("#")} == {"data"}  # it stands alone
    with (tmp_path / "report" / "scores.csv").open() as file:
        assert {row["case"] for row in csv.DictReader(file)} == {case["case"] for case in scored["cases"]}
    assert json.loads((tmp_path / "report" / "scores.json").read_text())["cases"]


# --- the arguments, on one kind ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def volume_way(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Data and a bundle that two steps made."""
    folder = tmp_path_factory.mktemp("arguments")
    data = write_cases(folder / "data", (ball_case(n, shape=(20, 24, 16)) for n in range(4)))
    small = ("--set", "network.features=8,16,16", "--set", "patch_size=16,16,16", "--set", "batch_size=2")
    told("fit", data, "-o", folder / "bundle", "--steps", 2, *small)
    return data, folder / "bundle"


def test_one_file_becomes_the_file_that_was_named(volume_way, tmp_path):
    data, bundle = volume_way
    image = data / "images" / "case1.nii.gz"
    for name in ("a.nii.gz", "sub/b.nrrd", "c.mha", "d.npz"):
        done = told("segment", image, "--bundle", bundle, "-o", tmp_path / name)
        assert done["images"][0]["output"] == str(tmp_path / name)
        found = read_labels(tmp_path / name)
        assert found.grid.is_close(read(image).grid)
        assert np.array_equal(found.array, read_labels(tmp_path / "a.nii.gz").array)
        if not name.endswith(".mha"):  # which has no place for names
            assert found.labels.names == ("ball", "core")
    assert f"{tmp_path / 'a.nii.gz'}  ball " in printed(
        "segment", image, "--bundle", bundle, "-o", tmp_path / "a.nii.gz"
    )


def test_probabilities_lie_beside_the_labels(volume_way, tmp_path):
    data, bundle = volume_way
    told("segment", data / "images", "--bundle", bundle, "-o", tmp_path, "--probabilities")
    assert len(list(tmp_path.glob("*.nii.gz"))) == 8
    chances = read(tmp_path / "case0-probabilities.nii.gz")
    assert chances.channels == 3
    np.testing.assert_allclose(chances.array.sum(axis=0), 1, atol=1e-5)
    assert np.array_equal(chances.array.argmax(axis=0), read_labels(tmp_path / "case0.nii.gz").array)
    # `evaluate` does not take them for predictions.
    assert told("evaluate", tmp_path, data / "labels")["summary"]["cases"] == 4


def test_mirroring_and_overlap_take_effect(volume_way, tmp_path):
    data, bundle = volume_way
    image = data / "images" / "case2.nii.gz"
    found = {}
    for name, arguments in {
        "planned": (),
        "mirror": ("--mirror",),
        "no-mirror": ("--no-mirror",),
        "dense": ("--no-mirror", "--overlap", 0.8),
    }.items():
        out = tmp_path / f"{name}.nii.gz"
        told("segment", image, "--bundle", bundle, "-o", out, "--probabilities", *arguments)
        found[name] = read(tmp_path / f"{name}-probabilities.nii.gz").array
    assert np.array_equal(found["planned"], found["mirror"])
    assert np.abs(found["mirror"] - found["no-mirror"]).max() > 1e-4
    assert np.abs(found["dense"] - found["no-mirror"]).max() > 1e-4


def test_a_broken_image_does_not_stop_the_others(volume_way, tmp_path):
    data, bundle = volume_way
    shutil.copytree(data / "images", tmp_path / "images")
    (tmp_path / "images" / "case2.nii.gz").write_bytes((data / "images" / "case2.nii.gz").read_bytes()[:500])
    done = told("segment", tmp_path / "images", "--bundle", bundle, "-o", tmp_path / "found", code=1)
    assert done["failed"] == 1
    assert [("error" in one) for one in done["images"]] == [False, False, True, False]
    assert "case2.nii.gz" in done["images"][2]["error"]
    assert sorted(p.name for p in (tmp_path / "found").glob("*.nii.gz")) == [f"case{n}.nii.gz" for n in (0, 1, 3)]


def test_as_many_colour_pictures_as_channels_are_as_many_images(tmp_path):
    cases = [ball_case(n, shape=(24, 20)) for n in range(3)]
    coloured = [
        replace(c, image=Volume(np.clip(np.repeat(c.image.array, 3, axis=0) - 250, 0, 255).astype(np.uint8),
                                c.image.grid, Meta(modality="RGB", calibrated=False)))
        for c in cases
    ]  # fmt: skip
    names = ("red", "green", "blue")
    untrained_bundle(dataset_of(coloured, names), patch_size=(16, 16)).save(tmp_path / "bundle")
    for case in coloured:
        write(case.image, tmp_path / f"{case.id}.png")
    paths = [tmp_path / f"{case.id}.png" for case in coloured]
    done = told("segment", *paths, "--bundle", tmp_path / "bundle", "-o", tmp_path / "found")
    assert [one["image"] for one in done["images"]] == ["case0", "case1", "case2"]


def test_models_lists_what_came_with_the_package():
    listed = {model["name"]: model for model in told("models")["models"]}
    assert 0.5 < listed["hippocampus"]["scores"]["mean"] < 1
    assert "hippocampus" in printed("models")
