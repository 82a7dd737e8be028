from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from phantoms import ball_dataset, untrained_bundle

from vesalius.errors import DataError, PlanError
from vesalius.image import Grid, Meta, Volume
from vesalius.plan import Plan, plan_from_json, plan_to_json, prepare, with_settings
from vesalius.plan.preparation import NNUNET, Preparation, thick_axis
from vesalius.plan.prepare import turn
from vesalius.transform import Normalisation, normalise, reorient

PLAN: Plan = replace(
    untrained_bundle(ball_dataset(2), patch_size=(8, 16, 8)).plan, normalisation=(Normalisation("z_score"),)
)
STORED = Grid.from_spacing((10, 12, 9), (1.5, 1.0, 2.0), direction=np.diag([-1.0, -1.0, 1.0]))


def image(grid: Grid = STORED) -> Volume:
    array = np.random.default_rng(0).normal(100, 20, (1, *grid.shape)).astype(np.float32)
    array[:, :2] = 0
    return Volume(array, grid, Meta(modality="MR"))


def planned(preparation: Preparation, **changes: object) -> Plan:
    return replace(PLAN, preparation=preparation, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("codes", ["LPS", "RAS"])
def test_images_are_turned_as_the_plan_says(codes: str) -> None:
    plan = planned(Preparation(orientation=codes))  # type: ignore[arg-type]
    assert turn(image(), plan).grid.axis_codes == codes
    assert prepare(image(), plan).grid.axis_codes == codes


def test_images_stay_as_they_are_stored() -> None:
    plan = planned(Preparation(orientation="stored"))
    assert turn(image(), plan) is not None
    assert prepare(image(), plan).canonical == STORED
    assert prepare(image(), plan).grid.axis_codes == STORED.axis_codes == "RAS"


def test_the_crop_can_be_left_out() -> None:
    same = replace(PLAN, spacing_mm=(1.5, 1.0, 2.0))
    assert prepare(image(), same).grid.shape == (8, 12, 9)
    assert prepare(image(), replace(same, preparation=Preparation(crop="none"))).grid.shape == (10, 12, 9)


@pytest.mark.parametrize(
    ("extent", "shape", "spacing_mm"),
    [
        ("centred", (15, 12, 18), (1.0, 1.0, 1.0)),
        ("filled", (15, 12, 18), (1.0, 1.0, 1.0)),
        ("anchored", (14, 12, 17), (1.0, 1.0, 1.0)),
    ],
)
def test_how_whole_voxels_make_up_for_the_extent(
    extent: str, shape: tuple[int, ...], spacing_mm: tuple[float, ...]
) -> None:
    how = Preparation(extent=extent, crop="none", orientation="stored")  # type: ignore[arg-type]
    found = prepare(image(), planned(how, spacing_mm=spacing_mm)).grid
    assert found.shape == shape
    np.testing.assert_allclose(found.spacing_mm, spacing_mm)


def test_a_filled_extent_gives_way_in_the_spacing() -> None:
    found = prepare(image(), planned(replace(NNUNET, crop="none"), spacing_mm=(4.0, 5.0, 1.0))).grid
    assert found.shape == (4, 2, 18)
    np.testing.assert_allclose(found.spacing_mm, (15 / 4, 12 / 2, 1.0))


def test_half_a_voxel_is_rounded_to_even_as_nnunet_does() -> None:
    halves = Grid.from_spacing((10, 14, 9), (0.25, 0.25, 1.0))  # 2.5 and 3.5 voxels of 1 mm
    found = prepare(image(halves), planned(replace(NNUNET, crop="none"), spacing_mm=(1.0, 1.0, 1.0)))
    assert found.grid.shape == (2, 4, 9)


def test_axes_can_keep_the_spacing_of_the_image() -> None:
    how = replace(NNUNET, own_spacing=(2,), crop="none")
    assert prepare(image(), planned(how, spacing_mm=(1.0, 1.0, 7.0))).grid.shape == (15, 12, 9)


def test_what_is_clipped_after_resampling_is_another_image() -> None:
    low = Normalisation("ct", mean=100.0, std=10.0, lower=95.0, upper=105.0)
    before, after = (
        prepare(image(), planned(Preparation(normalised=when), normalisation=(low,), spacing_mm=(0.7, 0.7, 0.7)))  # type: ignore[arg-type]
        for when in ("before", "after")
    )
    assert before.array.max() > 0.5  # the spline overshoots what was clipped
    assert after.array.max() <= 0.5
    assert before.grid == after.grid


def test_only_scores_of_thick_slices_are_copied() -> None:
    thick = Grid.from_spacing((10, 12, 9), (1.0, 1.0, 5.0))
    plan = planned(NNUNET, spacing_mm=(1.0, 1.0, 4.0))
    assert prepare(image(thick), plan).thick_axis == 2
    assert prepare(image(thick), replace(plan, preparation=replace(NNUNET, through_plane="image"))).thick_axis is None
    assert prepare(image(STORED), replace(plan, spacing_mm=(1.0, 1.0, 1.0))).thick_axis is None
    assert prepare(image(STORED), plan).thick_axis == 2  # of the plan's spacing


@pytest.mark.parametrize(
    ("before_mm", "after_mm", "axis"),
    [
        ((1.0, 1.0, 3.0), (1.0, 1.0, 3.0), None),
        ((1.0, 1.0, 3.1), (1.0, 1.0, 1.0), 2),
        ((1.0, 1.0, 1.0), (6.0, 1.0, 1.0), 0),
        ((1.0, 9.0, 1.0), (6.0, 1.0, 1.0), 1),
        ((1.0, 4.0, 4.0), (6.0, 1.0, 1.0), None),
        ((1.0, 9.0), (1.0, 9.0), None),
    ],
)
def test_the_thick_axis(before_mm: tuple[float, ...], after_mm: tuple[float, ...], axis: int | None) -> None:
    assert thick_axis(before_mm, after_mm) == axis


def test_an_image_that_no_memory_could_hold_is_refused() -> None:
    for how in (Preparation(), NNUNET, Preparation(extent="anchored")):
        with pytest.raises(DataError, match="its spacing or the plan's is wrong"):
            prepare(image(), planned(how, spacing_mm=(1e-4, 1e-4, 1e-4)))


def test_a_plan_carries_its_preparation_through_json_and_settings() -> None:
    plan = planned(replace(NNUNET, own_spacing=(1,)))
    assert plan_from_json(plan_to_json(plan)) == plan
    assert with_settings(PLAN, ["preparation.orientation=RAS"]).preparation.orientation == "RAS"
    with pytest.raises(PlanError, match="orientation"):
        with_settings(PLAN, ["preparation.orientation=sideways"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda: Preparation(own_spacing=(3,)), "different axes of 0 to 2"),
        (lambda: Preparation(own_spacing=(1, 1)), "different axes"),
    ],
)
def test_what_cannot_be_is_refused(change: Callable[[], object], words: str) -> None:
    with pytest.raises(PlanError, match=words):
        change()


def test_the_content_is_brought_to_scale_holes_and_all() -> None:
    array = np.zeros((2, 7, 7))
    array[0, 1:6, 1:6] = np.random.default_rng(1).normal(5, 1, (5, 5))
    array[:, 3, 3] = 0  # a hole in both
    array[1, 2, 2] = 4
    volume = Volume(array, Grid.from_spacing((7, 7), (1.0, 1.0)))
    made = normalise(volume, [Normalisation("z_score_content")] * 2).array
    for source, found in zip(array, made, strict=True):
        inside = source[1:6, 1:6]
        np.testing.assert_allclose(found[1:6, 1:6], (inside - inside.mean()) / inside.std(), rtol=1e-5)
    assert (made[:, [0, 6]] == 0).all()
    assert (made[:, :, [0, 6]] == 0).all()
    empty = normalise(volume.with_array(0 * array), [Normalisation("z_score_content")] * 2)
    assert (empty.array == 0).all()


def test_turned_copies_give_the_same_array_unless_taken_as_stored() -> None:
    turned = reorient(image(), "PIR")
    same = prepare(turned, planned(replace(NNUNET, orientation="RAS")))
    assert np.array_equal(same.array, prepare(image(), planned(replace(NNUNET, orientation="RAS"))).array)
    assert prepare(turned, planned(NNUNET)).array.shape != prepare(image(), planned(NNUNET)).array.shape
