"""Every way to train, through the executable: folds, cascades, from another segmenter, on regions, on scribbles."""

import io
import json
import shutil
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from classifiers import classifier
from phantoms import LABELS, as_cascade, ball_case, ball_dataset, for_regions, write_cases
from safetensors.torch import save_file

from vesalius.bundle import Bundle
from vesalius.cli import main
from vesalius.image import Case, LabelMap, Labels
from vesalius.io.atomic import write_text
from vesalius.metrics import evaluate
from vesalius.nets import EncoderUNetSpec, UNetSpec
from vesalius.plan import Budget, Optimisation, Plan, fingerprint, make_plan, plan_to_json
from vesalius.predict import segment

SHAPE = (32, 32)
NAMES = ("--labels", "ball=1,core=2", "--patient-pattern", "p[0-9]+")
STEPS = 70


def told(*arguments: Any, code: int = 0) -> Any:
    """What a verb prints with ``--json``."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        assert main([*map(str, arguments), "--json"]) == code, err.getvalue()
    return json.loads(out.getvalue()) if code == 0 else err.getvalue()


def balls(count: int = 6, *, shape: tuple[int, ...] = SHAPE) -> list[Case]:
    """Two of a patient, who is in the name."""
    return [replace(ball_case(n, shape=shape), id=f"p{n // 2}-{'ab'[n % 2]}") for n in range(count)]


def unseen(count: int = 3, *, shape: tuple[int, ...] = SHAPE) -> list[Case]:
    """Never learnt from, drawn completely; with a spacing, as from a file."""
    cases = [ball_case(80 + n, shape=shape) for n in range(count)]
    known = [replace(case.image, meta=replace(case.image.meta, calibrated=True)) for case in cases]
    return [replace(case, image=image) for case, image in zip(cases, known, strict=True)]


def redrawn(cases: Iterable[Case], labels: Labels, draw: Callable[[np.ndarray], np.ndarray]) -> list[Case]:
    """The cases with other references."""
    made = []
    for case in cases:
        assert case.reference is not None
        drawn = draw(case.reference.array.copy())
        made.append(replace(case, reference=LabelMap(drawn.astype(np.uint8), case.reference.grid, labels)))
    return made


def small_plan(*, shape: tuple[int, ...] = SHAPE, steps: int = STEPS) -> Plan:
    plan = make_plan(fingerprint(ball_dataset(4, shape=shape)), Budget(steps=steps), step_seconds=lambda *_: 0.01)
    network = UNetSpec.plain(ndim=plan.ndim, in_channels=1, out_channels=3, features=(8, 16))
    how = Optimisation.for_optimiser("sgd", steps)
    channels = ("image",)  # as the index calls it
    return replace(
        plan, channels=channels, network=network, patch_size=shape, batch_size=4, mirror_axes=(), optimisation=how
    )


def written(plan: Plan, path: Path) -> Path:
    write_text(path, plan_to_json(plan))
    return path


def dice(bundle: Bundle | Path, *, truth: Labels = LABELS) -> dict[str, float]:
    """On balls that were never seen."""
    found: dict[str, list[float]] = {}
    loaded = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    for case in unseen():
        assert case.reference is not None
        said, drawn = segment(case.image, loaded).labels, LabelMap(case.reference.array, case.image.grid, truth)
        for name, row in evaluate(said, drawn, metrics=("dice",)).values.items():
            found.setdefault(name, []).append(row["dice"])
    return {name: float(np.mean(values)) for name, values in found.items()}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, a plan, and a segmenter that was trained by it, the cases kept in a cache."""
    folder = tmp_path_factory.mktemp("house")
    write_cases(folder / "balls", balls())
    written(small_plan(), folder / "plan.json")
    words = (folder / "balls", *NAMES, "--plan", folder / "plan.json")
    told("fit", *words, "-o", folder / "bundle", "--cache", folder / "cache", "--cache-size", "1GiB")
    return folder


def fit(house: Path, *arguments: Any, data: str = "balls", code: int = 0) -> Any:
    return told("fit", house / data, *NAMES, *arguments, code=code)


def test_a_segmenter_is_trained_and_its_cases_are_kept(house: Path, tmp_path: Path) -> None:
    assert min(dice(house / "bundle").values()) > 0.7
    kept = {path.name: path.stat().st_mtime_ns for path in (house / "cache").rglob("*") if path.is_file()}
    assert kept
    plan = written(small_plan(steps=2), tmp_path / "plan.json")
    fit(house, "--plan", plan, "-o", tmp_path / "again", "--cache", house / "cache")
    after = {path.name for path in (house / "cache").rglob("*") if path.is_file()}
    assert set(kept) == after  # another training, the same prepared cases


def test_folds_are_trained_scored_and_gone_on_with(house: Path, tmp_path: Path) -> None:
    plan = written(small_plan(), tmp_path / "plan.json")
    words = ("--plan", plan, "--folds", 3, "-o", tmp_path / "out")
    found = fit(house, *words)
    assert len(Bundle.load(tmp_path / "out").members) == 3
    assert found["scores_on"].startswith("6 of 6 cases")
    assert found["scores"]["mean"] > 0.6
    folds = found["provenance"]["folds"]
    assert sorted(case for fold in folds for case in fold) == sorted(case.id for case in balls())
    assert all(len({case.partition("-")[0] for case in fold}) == 1 for fold in folds)
    assert min(dice(tmp_path / "out").values()) > 0.7
    assert fit(house, *words, "--resume")["scores"] == found["scores"]
    assert "folds stand here" in fit(house, *words, code=1)
    assert "cannot be changed" in fit(house, "-o", tmp_path / "out", "--folds", 3, "--resume", "--steps", 90, code=1)


def test_folds_of_one_start_are_averaged(house: Path, tmp_path: Path) -> None:
    gently = ("--set", "optimisation.learning_rate=0.0001")
    start = ("--from", house / "bundle", "--steps", 3)
    fit(house, *start, *gently, "--folds", 2, "--combine", "average", "-o", tmp_path / "out")
    bundle = Bundle.load(tmp_path / "out")
    assert len(bundle.members) == 1
    assert min(dice(bundle).values()) > 0.7


def test_a_cascade_is_trained_and_gone_on_with(tmp_path: Path) -> None:
    shape = (16, 20, 16)
    write_cases(tmp_path / "balls", balls(4, shape=shape))
    full = replace(small_plan(shape=(16, 16, 16), steps=4), batch_size=2)
    coarse = replace(full, configuration="3d_lowres", spacing_mm=(2.0, 2.0, 2.0), patch_size=(8, 8, 8))
    written(as_cascade(full), tmp_path / "plan.json")
    written(coarse, tmp_path / "plan-coarse.json")
    words = ("fit", tmp_path / "balls", *NAMES, "-o", tmp_path / "out")
    found = told(*words, "--plan", tmp_path / "plan.json")
    bundle = Bundle.load(tmp_path / "out")
    assert bundle.coarse is not None
    assert len(bundle.coarse.members) == 2
    assert found["scores"]
    assert told(*words, "--resume")["scores"] == found["scores"]
    message = told(*words[:-1], tmp_path / "small", "--configuration", "3d_cascade", "--steps", 2, code=1)
    assert "needs a resolution that is much lower" in message
    assert not (tmp_path / "small").exists()


def test_fine_tuning_to_a_new_label_goes_on_from_the_old_ones(house: Path, tmp_path: Path) -> None:
    """The new label lies in a corner, and the references show nothing else."""
    corner = Labels.of({"corner": 1})  # the value that the ball has in the base
    write_cases(tmp_path / "corners", redrawn(with_corners(balls()), corner, lambda drawn: 1 * (drawn == 9)))
    words = ("fit", tmp_path / "corners", "--labels", "corner=1", "--from", house / "bundle", "--steps", 2 * STEPS)
    told(*words, "--keep-labels", "-o", tmp_path / "kept")
    kept = Bundle.load(tmp_path / "kept")
    assert set(kept.plan.labels.names) == {"ball", "core", "corner"}
    truth = Labels.of({name: kept.plan.labels[name].value for name in ("ball", "core")} | {"corner": 1})
    (case,) = with_corners(unseen(1))
    assert case.reference is not None
    said = segment(case.image, kept).labels
    for name, value in (("ball", 1), ("core", 2), ("corner", 9)):
        mine, theirs = said.array == truth[name].value, case.reference.array == value
        assert 2 * (mine & theirs).sum() / (mine.sum() + theirs.sum()) > 0.6, name
    assert set(kept.card.scores) == {"corner", "mean"}
    told(*words, "-o", tmp_path / "changed")
    assert Bundle.load(tmp_path / "changed").plan.labels.names == ("corner",)


def with_corners(cases: Iterable[Case]) -> list[Case]:
    """With a dark corner, 9 in the reference."""
    made = []
    for case in cases:
        assert case.reference is not None
        image, drawn = case.image.array.copy(), case.reference.array.copy()
        image[:, :7, :7] -= 250
        drawn[:7, :7] = 9
        labels = Labels.of({"ball": 1, "core": 2, "corner": 9})
        reference = LabelMap(drawn, case.image.grid, labels)
        made.append(replace(case, image=case.image.with_array(image), reference=reference))
    return made


def test_an_encoder_starts_from_a_file(house: Path, tmp_path: Path) -> None:
    save_file(classifier("resnet18").state_dict(), tmp_path / "resnet18.safetensors")
    network = EncoderUNetSpec(
        ndim=2, in_channels=1, out_channels=3, encoder="resnet18", features=(8, 8, 8, 8, 8), decoder_blocks=1
    )
    plan = written(replace(small_plan(steps=1), network=network, batch_size=2), tmp_path / "plan.json")
    words = ("--plan", plan, "--encoder-weights", tmp_path / "resnet18.safetensors", "-o")
    fit(house, *words, tmp_path / "out")
    known = classifier("resnet18").state_dict()["layer4.1.conv2.weight"].numpy()
    assert any(array.shape == known.shape for array in Bundle.load(tmp_path / "out").weights.values())
    shutil.copy(house / "plan.json", tmp_path / "other.json")
    assert "encoder" in fit(house, "--plan", tmp_path / "other.json", *words[2:], tmp_path / "no", code=1)


def test_a_training_that_gains_nothing_ends_early(house: Path, tmp_path: Path) -> None:
    plan = written(small_plan(steps=200), tmp_path / "plan.json")
    hopeless = ("--set", "optimisation.learning_rate=1e-9")
    found = fit(house, "--plan", plan, *hopeless, "--early-stop", 2, "-o", tmp_path / "out")
    assert found["provenance"]["stopped_early_at"] < 0.5
    assert found["provenance"]["steps"] < 120


def test_a_finished_run_goes_on_with_a_bigger_budget(house: Path, tmp_path: Path) -> None:
    plan = written(small_plan(steps=10), tmp_path / "plan.json")
    out = ("-o", tmp_path / "out")
    assert fit(house, "--plan", plan, *out)["provenance"]["steps"] == 10
    assert fit(house, *out, "--resume", "--steps", 25)["provenance"]["steps"] == 25
    assert "has had 25 steps already" in fit(house, *out, "--resume", "--steps", 20, code=1)
    assert fit(house, *out, "--resume")["provenance"]["steps"] == 25


@pytest.mark.parametrize("declared", [True, False], ids=["dataset.json", "--regions"])
def test_regions_are_learned(declared: bool, tmp_path: Path) -> None:
    write_cases(tmp_path / "balls", balls())
    names: tuple[Any, ...] = (*NAMES, "--regions", "whole=1+2")
    if declared:
        labels = {"background": 0, "whole": [1, 2], "core": 2}
        write_text(tmp_path / "balls" / "dataset.json", json.dumps({"labels": labels}))
        names = NAMES[2:]
    found = told("plan", tmp_path / "balls", *names, "--steps", 5, "-o", tmp_path / "made.json")
    assert found["regions"]
    plan = for_regions(small_plan())
    words = ("--plan", written(plan, tmp_path / "plan.json"), "-o", tmp_path / "out")
    found = told("fit", tmp_path / "balls", *names, *words)
    assert found["scores"]["whole"] > 0.7
    assert dice(tmp_path / "out", truth=Bundle.load(tmp_path / "out").plan.labels)["whole"] > 0.7


def slices(drawn: np.ndarray) -> np.ndarray:
    """Four rows of the picture."""
    seen = np.zeros(drawn.shape, bool)
    seen[6::7] = True
    return np.where(seen, drawn, 9)


def scribbles(drawn: np.ndarray) -> np.ndarray:
    """A few dozen voxels of each class."""
    rng = np.random.default_rng(int(drawn.sum()))
    seen = np.zeros(drawn.size, bool)
    for value in (0, 1, 2):
        seen[rng.choice(np.flatnonzero(drawn == value), 25, replace=False)] = True
    return np.where(seen.reshape(drawn.shape), drawn, 9)


@pytest.mark.parametrize("annotate", [slices, scribbles])
def test_a_few_annotated_voxels_are_enough(annotate: Callable[[np.ndarray], np.ndarray], tmp_path: Path) -> None:
    labels = Labels.of({"ball": 1, "core": 2}, ignore=9)
    write_cases(tmp_path / "balls", redrawn(balls(), labels, annotate))
    plan = replace(small_plan(steps=60), labels=labels)
    names = ("--labels", "ball=1,core=2,ignore=9", *NAMES[2:])
    words = ("--plan", written(plan, tmp_path / "plan.json"), "-o", tmp_path / "out")
    found = told("fit", tmp_path / "balls", *names, *words)
    scores = dice(tmp_path / "out")
    assert min(scores.values()) > 0.7, scores
    assert found["scores"]["ball"] > 0.6  # where somebody looked


def test_labels_of_other_values_are_known_by_their_names(house: Path, tmp_path: Path) -> None:
    """The same pictures, their labels numbered otherwise: the weights are the same."""
    swapped = redrawn(balls(), Labels.of({"ball": 7, "core": 1}), lambda drawn: np.array([0, 7, 1])[drawn])
    write_cases(tmp_path / "balls", swapped)
    words = ("--patient-pattern", NAMES[3], "--plan", house / "plan.json", "-o", tmp_path / "out")
    found = told("fit", tmp_path / "balls", "--labels", "ball=7,core=1", *words)
    mine, theirs = Bundle.load(tmp_path / "out"), Bundle.load(house / "bundle")
    assert all(np.array_equal(array, theirs.weights[name]) for name, array in mine.weights.items())
    assert found["scores"] == theirs.card.scores
    message = told("fit", tmp_path / "balls", "--labels", "Kugel=7,core=1", *words[:-1], tmp_path / "no", code=1)
    assert "the plan does not know Kugel; it segments ball, core" in message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--steps", 2, "--combine", "average"), "give --folds, too"),
        (("--steps", 2, "--configuration", "2d,3d"), "give --folds, too"),
        (("--steps", 2, "--cluster", "local"), "give --folds, too"),
        (("--steps", 2, "--keep-labels"), "name it with --from"),
        (("--steps", 2, "--from", "BUNDLE", "--network", "cnn"), "--network says what is trained"),
        (("--plan", "PLAN", "--encoder", "resnet18"), "leave out one or the other"),
        (("--steps", 2, "--folds", 4), "4 folds need at least 4 patients; there are 3"),
        (("--steps", 2, "--folds", 2, "--configuration", "3d_cascade,3d"), "name it alone"),
    ],
)
def test_arguments_that_have_no_use_are_refused(
    arguments: tuple[Any, ...], words: str, house: Path, tmp_path: Path, quick_plans: None
) -> None:
    named = {"BUNDLE": house / "bundle", "PLAN": house / "plan.json"}
    message = fit(house, *(named.get(word, word) for word in arguments), "-o", tmp_path / "out", code=1)
    assert words in message
    assert not (tmp_path / "out").exists()
