"""Pipelines: validated, saved, hashed, replayed."""

import hashlib
import inspect
import json
import typing

import numpy as np
import pytest

from vesalius.errors import DataError, FormatError, VesaliusError
from vesalius.image import Grid, Meta, Volume
from vesalius.transform import STEPS, Pipeline, Step, find_step, nyul_landmarks, preprocess

NEEDED = {
    "nyul": {"landmarks": tuple(float(10 * n) for n in range(11))},
    "match-histogram": {"reference": (0.0, 50.0, 100.0)},
    "window": {"centre": 100.0, "width": 50.0},
}


def photograph() -> Volume:
    """A small picture for the step that takes colour only."""
    values = np.random.default_rng(3).integers(40, 200, (3, 30, 30)).astype(np.uint8)
    return Volume(values, Grid.from_spacing((30, 30), (6.0, 6.0)), Meta("RGB"))


def head() -> Volume:
    """A small image that every step can take: a scalp, a brain, values above 0, a factor."""
    r = np.linalg.norm(np.mgrid[-12:13, -12:13, -12:13], axis=0)
    values = np.select([r < 8, r < 10, r < 11.5], [100.0, 10.0, 180.0], 0.0)
    values[r < 8] += np.random.default_rng(3).normal(0, 5, int((r < 8).sum()))
    grid = Grid.from_spacing(values.shape, (6.0, 6.0, 8.0))
    return Volume(values[None].astype(np.float32), grid, Meta("PT", "Bq/ml", suv_factor=0.5))


@pytest.mark.parametrize("name", STEPS)
def test_every_step_is_a_function_of_arguments_that_json_holds(name: str) -> None:
    function = find_step(name)
    hints = typing.get_type_hints(function)
    first, *others = inspect.signature(function).parameters.values()
    assert first.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert hints[first.name] is Volume
    assert hints["return"] is Volume
    assert all(one.kind is inspect.Parameter.KEYWORD_ONLY for one in others)
    step = Step(name, NEEDED.get(name, {}))
    assert set(step.arguments) == {one.name for one in others}
    assert Step(name, json.loads(json.dumps(step.arguments))) == step


@pytest.mark.parametrize("name", STEPS)
def test_every_step_gives_the_same_bytes_twice_and_keeps_the_place(name: str) -> None:
    if name in ("n4", "clahe", "fundus"):
        pytest.importorskip("SimpleITK" if name == "n4" else "skimage")
    pipeline = Pipeline((Step(name, NEEDED.get(name, {})),))
    image = photograph if name == "fundus" else head
    source = image()
    before = source.array.copy()
    made = preprocess(source, pipeline)
    again = preprocess(image(), Pipeline.from_json(pipeline.to_json()))
    assert np.ascontiguousarray(made.array).tobytes() == np.ascontiguousarray(again.array).tobytes()
    np.testing.assert_array_equal(source.array, before)
    assert made.meta.modality == ("OT" if name == "fundus" else "PT")
    centre = (np.asarray(source.grid.shape) - 1) / 2, (np.asarray(made.grid.shape) - 1) / 2
    np.testing.assert_allclose(source.grid.to_points(centre[0]), made.grid.to_points(centre[1]), atol=1e-6)


def test_steps_are_taken_in_their_order() -> None:
    volume = Volume(np.array([[[0.0, 50.0, 100.0]]]), Grid.from_spacing((1, 3), (1.0, 1.0)))
    wide, squared = Step("window", {"centre": 100, "width": 200}), Step("gamma", {"exponent": 2})
    np.testing.assert_allclose(preprocess(volume, [wide, squared]).array, [[[0, 0.125, 0.5]]])
    half = Step("window", {"centre": 25, "width": 50})
    np.testing.assert_allclose(preprocess(volume, [half, squared]).array, [[[0, 1, 1]]])
    np.testing.assert_allclose(preprocess(volume, Pipeline((squared, half))).array, [[[0, 0.5, 1]]])
    assert preprocess(volume, ()) is volume


def test_a_step_says_all_that_it_does() -> None:
    assert Step("gaussian") == Step("gaussian", {"sigma_mm": 1})
    assert Step("z_score").name == "z-score"
    assert Pipeline((Step("gaussian"),)).sha256 == Pipeline((Step("gaussian", {"sigma_mm": 1.0}),)).sha256
    assert Pipeline((Step("gaussian"),)).sha256 != Pipeline((Step("gaussian", {"sigma_mm": 1.1}),)).sha256
    assert Pipeline((Step("gaussian"), Step("median"))).sha256 != Pipeline((Step("median"), Step("gaussian"))).sha256


def test_the_hash_of_a_pipeline_stays() -> None:
    # It stands in people's notes: it may only change with what the steps compute, and CUSTOMS with it.
    expected = json.dumps(
        {
            "customs": 1,
            "format": "vesalius preprocessing pipeline",
            "steps": [{"arguments": {"sigma_mm": 2.0}, "name": "gaussian"}],
        },
        separators=(",", ":"),
    )
    assert Pipeline((Step("gaussian", {"sigma_mm": 2}),)).sha256 == hashlib.sha256(expected.encode()).hexdigest()


def test_saved_and_loaded(tmp_path) -> None:
    marks = nyul_landmarks([head()])
    pipeline = Pipeline((Step("n4", {"iterations": [20, 10]}), Step("nyul", {"landmarks": marks}), Step("grey")))
    pipeline.save(tmp_path / "p.json")
    assert Pipeline.load(tmp_path / "p.json") == pipeline
    assert Pipeline.load(tmp_path / "p.json").steps[1].arguments["landmarks"] == marks
    assert Pipeline.load(tmp_path / "p.json").sha256 == pipeline.sha256


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("gaussiann", {}, "did you mean 'gaussian'"),
        ("gaussian", {"sigma": 1}, "did you mean 'sigma_mm'"),
        ("gaussian", {"sigma_mm": "1"}, "sigma_mm must be a number"),
        ("gaussian", {"sigma_mm": True}, "sigma_mm must be a number"),
        ("gaussian", {"sigma_mm": float("nan")}, "sigma_mm must be a number"),
        ("gaussian", {"sigma_mm": None}, "sigma_mm must be a number"),
        ("equalise", {"bins": 2.5}, "a whole number"),
        ("equalise", {"nonzero": 1}, "true or false"),
        ("window", {"preset": "lungs"}, "'lung', 'mediastinum'"),
        ("n4", {"iterations": 50}, "a list, each a whole number"),
        ("n4", {"iterations": [50, "x"]}, "a list, each a whole number"),
        ("orient", {"codes": 7}, "a text"),
        ("nyul", {}, "needs landmarks"),
        ("match-histogram", {"reference": "file.nii"}, "a list, each a number"),
    ],
)
def test_steps_that_cannot_be(name: str, arguments: dict, told: str) -> None:
    with pytest.raises(VesaliusError, match=told):
        Step(name, arguments)


def test_what_fails_is_named() -> None:
    volume = Volume(np.zeros((2, 3, 3)), Grid.from_spacing((3, 3), (1.0, 1.0)))
    with pytest.raises(DataError, match=r"step 2 \(white-stripe\): WhiteStripe is for one channel"):
        preprocess(volume, [Step("gaussian"), Step("white-stripe")])


def test_no_step() -> None:
    with pytest.raises(DataError, match="needs a step"):
        Pipeline(())


def told(steps: list) -> str:
    return json.dumps({"format": "vesalius preprocessing pipeline", "customs": 1, "steps": steps})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "nonsense",
        '{"format": "other", "customs": 1, "steps": []}',
        "[" * 100_000,
        told([{"name": 3, "arguments": {}}]),
        told([{"name": "grey", "arguments": []}]),
    ],
)
def test_what_is_no_pipeline(text: str, tmp_path) -> None:
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(FormatError, match=r"p\.json: not a preprocessing pipeline"):
        Pipeline.load(tmp_path / "p.json")


def test_other_customs_are_refused(tmp_path) -> None:
    told = json.loads(Pipeline((Step("grey"),)).to_json())
    (tmp_path / "p.json").write_text(json.dumps(told | {"customs": 2}))
    with pytest.raises(FormatError, match="customs 2"):
        Pipeline.load(tmp_path / "p.json")
    with pytest.raises(FormatError, match="cannot be read"):
        Pipeline.load(tmp_path / "missing.json")
    (tmp_path / "b.json").write_bytes(b"\xff\xfe")
    with pytest.raises(FormatError, match="not text"):
        Pipeline.load(tmp_path / "b.json")
