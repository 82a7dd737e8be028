"""Label maps as data sets to paint from: kinds, labels and sides; single images drawn; the plan of the brain."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vesalius.augment import Generation
from vesalius.errors import DataError, PlanError
from vesalius.image import Grid, LabelMap, Labels
from vesalius.io import write
from vesalius.nets.specs.unet import UNetSpec
from vesalius.plan import Budget, Plan
from vesalius.plan.plan import plan_from_json, plan_to_json
from vesalius.synth.brain import brain_anatomy, brain_dataset, brain_generation, brain_plan
from vesalius.synth.drawn import draw
from vesalius.synth.generation import MIRRORED, Anatomy, generation_dataset
from vesalius.train import fit
from vesalius.train.fit import choose_held_out

TWO = Labels.of({"left blob": 1, "right blob": 2})
SIDES = Anatomy(TWO, kinds={10: 1, 20: 1, 30: 2}, targets={10: 1, 20: 2}, mirrored={1: 2, 2: 1})
"""Two blobs that look alike, and what lies around them."""


@pytest.fixture
def blobs(tmp_path: Path) -> Path:
    """A map with axes left, down and forwards: the left blob is the larger."""
    values = np.zeros((20, 24, 22), np.uint16)
    values[2:18, 3:21, 3:19] = 30
    values[11:16, 8:16, 6:14] = 10
    values[5:8, 8:16, 6:14] = 20
    affine = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    path = tmp_path / "blobs_01.nii.gz"
    write(LabelMap(values, Grid(values.shape, affine), Labels.of((10, 20, 30))), path)
    return path


def plan_for(generation: Generation, labels: Labels, *, steps: int = 2) -> Plan:
    network = UNetSpec.plain(ndim=3, in_channels=1, out_channels=len(labels) + 1, features=(8, 8))
    return replace(
        brain_plan(Budget(steps=steps), steps=steps),
        labels=labels,
        paired_labels=(),
        network=network,
        patch_size=(16, 16, 16),
        spacing_mm=(1.0, 1.0, 1.0),
        augmentation=replace(brain_plan(Budget(steps=1), steps=1).augmentation, generation=generation),
    )


PAINTED = plan_for(Generation(kinds=3, outside=(2,)), TWO)


def test_kinds_and_labels_are_of_the_same_voxels_and_left_is_left(blobs: Path) -> None:
    (case,) = generation_dataset([blobs], SIDES, spacing_mm=1.0)
    assert case.reference is not None
    assert np.array_equal(case.image.array[0] == 1, case.reference.array > 0)
    assert set(np.unique(case.image.array)) == {0.0, 1.0, 2.0}
    x = {v: case.reference.grid.to_points(np.argwhere(case.reference.array == v))[:, 0].mean() for v in (1, 2)}
    assert x[1] > x[2]  # LPS: x grows to the left


def test_a_mirrored_map_is_the_same_person_with_sides_swapped(blobs: Path) -> None:
    dataset = generation_dataset([blobs], SIDES, spacing_mm=1.0, mirrored=True)
    assert dataset.ids == ("blobs_01", f"blobs_01{MIRRORED}")
    assert dataset.patients == ("blobs_01",)
    straight, mirrored = dataset
    assert straight.reference is not None
    assert mirrored.reference is not None
    counts, swapped = (case.reference.counts() for case in (straight, mirrored) if case.reference is not None)
    assert (counts[1], counts[2]) == (swapped[2], swapped[1])
    assert counts[1] > counts[2]
    grid, array = mirrored.reference.grid, mirrored.reference.array
    x = {value: grid.to_points(np.argwhere(array == value))[:, 0].mean() for value in (1, 2)}
    assert x[1] > x[2]  # left stays left: only what it holds has changed sides


def test_coarser_maps_keep_their_volumes(blobs: Path) -> None:
    fine, coarse = (next(iter(generation_dataset([blobs], SIDES, spacing_mm=mm))) for mm in (1.0, 1.5))
    assert fine.reference is not None
    assert coarse.reference is not None
    ml = [one.counts()[1] * one.grid.voxel_volume_mm3 for one in (fine.reference, coarse.reference)]
    assert ml[1] == pytest.approx(ml[0], rel=0.35)  # an edge of 5 voxels is 3 or 4 of the coarse ones


def test_what_maps_and_tables_may_not_say_is_refused(blobs: Path) -> None:
    with pytest.raises(DataError, match="values without a kind: \\[30\\]"):
        generation_dataset([blobs], replace(SIDES, kinds={10: 1, 20: 1}), spacing_mm=1.0)[0]
    with pytest.raises(DataError, match="no label map"):
        generation_dataset([], SIDES, spacing_mm=1.0)
    with pytest.raises(DataError, match="none: \\[7\\]"):
        replace(SIDES, targets={10: 7})
    with pytest.raises(DataError, match="have none: \\[40\\]"):
        replace(SIDES, targets={40: 1})
    with pytest.raises(DataError, match="swap"):
        replace(SIDES, mirrored={1: 2})


def test_a_drawn_image_shows_what_its_reference_says_and_repeats(blobs: Path) -> None:
    (case,) = generation_dataset([blobs], SIDES, spacing_mm=1.0)
    still = replace(PAINTED, augmentation=replace(PAINTED.augmentation, blur_p=0.0, low_resolution_p=0.0))
    one, again, other = (draw(case, still, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(one.image.array, again.image.array)
    assert not np.array_equal(one.image.array, other.image.array)
    assert one.reference is not None
    assert case.reference is not None
    assert [one.reference.counts()[v] for v in (1, 2)] == [
        case.reference.counts()[v] for v in (1, 2)
    ]  # but not the air
    assert (float(one.image.array.min()), float(one.image.array.max())) == (0.0, 1.0)


def test_nothing_is_drawn_by_a_plan_for_acquired_images(blobs: Path) -> None:
    acquired = replace(PAINTED, augmentation=replace(PAINTED.augmentation, generation=None))
    with pytest.raises(PlanError, match="nothing to draw"):
        draw(generation_dataset([blobs], SIDES, spacing_mm=1.0)[0], acquired, seed=0)


def test_maps_at_another_spacing_or_with_strange_kinds_are_refused(blobs: Path) -> None:
    with pytest.raises(DataError, match="must have the plan's spacing"):
        draw(generation_dataset([blobs], SIDES, spacing_mm=2.0)[0], PAINTED, seed=0)
    with pytest.raises(DataError, match="whole numbers of 0 to 1"):
        draw(generation_dataset([blobs], SIDES, spacing_mm=1.0)[0], plan_for(Generation(kinds=2), TWO), seed=0)


def test_a_segmenter_is_fitted_to_painted_images_and_nothing_can_be_held_out(blobs: Path, tmp_path: Path) -> None:
    dataset = generation_dataset([blobs], SIDES, spacing_mm=1.0, mirrored=True)
    bundle = fit(dataset, PAINTED, tmp_path / "bundle", device="cpu")
    assert bundle.provenance["steps"] == 2
    assert bundle.provenance["training_cases"] == 2
    with pytest.raises(PlanError, match="no case can be held out"):
        choose_held_out(dataset, PAINTED, 0, ["blobs_01"])


def test_a_plan_that_paints_normalises_as_painting_does() -> None:
    with pytest.raises(PlanError, match="percentiles"):
        replace(PAINTED, normalisation=(replace(PAINTED.normalisation[0], scheme="z_score"),))
    assert plan_from_json(plan_to_json(PAINTED)) == PAINTED


def test_the_brain_has_both_sides_of_everything() -> None:
    anatomy = brain_anatomy()
    names = anatomy.labels.names
    assert len(names) == 30
    for name in names:
        if name.startswith("left "):
            one, other = anatomy.labels[name], anatomy.labels[name.replace("left", "right", 1)]
            assert (anatomy.mirrored[one.value], anatomy.mirrored[other.value]) == (other.value, one.value)
            assert anatomy.kinds[one.value] == anatomy.kinds[other.value]
            assert one.code == other.code
    assert set(anatomy.labels.members("intracranial")) == set(anatomy.labels.values)
    assert set(anatomy.targets.values()) == set(anatomy.labels.values)


def test_the_kinds_of_the_brain_are_numbered_without_gaps() -> None:
    kinds, how = brain_anatomy().kinds, brain_generation()
    assert set(kinds.values()) == set(range(how.kinds))
    assert not set(how.outside) & {kinds[value] for value in brain_anatomy().targets}


def test_the_maps_that_are_here_suit_the_brain(shared_data: Path) -> None:
    maps = sorted((shared_data / "synthseg_labelmaps").glob("*.nii.gz"))
    if not maps:
        pytest.skip("SynthSeg's label maps are not here")
    case = brain_dataset(maps[:1])[1]
    assert case.reference is not None
    counts = case.reference.counts()
    assert set(counts) - {0} == set(brain_anatomy().labels.values)
    litres = sum(n for value, n in counts.items() if value) * case.reference.grid.voxel_volume_mm3 / 1e6
    assert 1.1 < litres < 2.1  # within the skull
