"""Augmentation: validation, and the recipe for a patch."""

import pytest
from pydantic import TypeAdapter

from vesalius.augment import Augmentation
from vesalius.errors import PlanError


def test_json_round_trip_gives_an_equal_spec():
    spec = Augmentation.for_patch((64, 64, 8), mirror_axes=(1,))
    adapter = TypeAdapter(Augmentation)
    assert adapter.validate_json(adapter.dump_json(spec)) == spec


def test_json_with_a_bad_value_is_refused():
    adapter = TypeAdapter(Augmentation)
    with pytest.raises(ValueError, match="blur_p is a probability"):
        adapter.validate_json('{"blur_p": 1.5}')


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise_p": -0.1}, "noise_p is a probability"),
        ({"gamma_p": float("nan")}, "gamma_p is a probability"),
        ({"scale": (1.4, 0.7)}, "scale must be a range"),
        ({"scale": (0.1, 1.0)}, "scale must be within"),
        ({"scale": 1.0}, "scale must be a range"),
        ({"blur_sigma": (0.0, 1.0)}, "blur_sigma must be positive"),
        ({"blur_sigma": (1.0, 50.0)}, "within 0 to 8"),
        ({"noise_std": (-1.0, 0.1)}, "noise_std must be within"),
        ({"low_resolution": (0.5, 1.5)}, "within 0 to 1"),
        ({"elastic_displacement": (0.0, 0.5)}, "within 0 to 0.4"),
        ({"elastic_control_points": 3}, "whole number of 4 to 32"),
        ({"elastic_control_points": 7.0}, "whole number of 4 to 32"),
        ({"bias_field_order": 0}, "whole number of 1 to 6"),
        ({"motion_poses": True}, "whole number of 1 to 8"),
        ({"ghosting": (0.5, 1.5)}, "ghosting must be within 0 to 1"),
        ({"ghosting_count": (1, 4)}, "ghosting_count must be"),
        ({"ghosting_count": (6, 4)}, "ghosting_count must be"),
        ({"ghosting_count": (4,)}, "ghosting_count must be"),
        ({"ct_noise_cutoff": (0.0, 0.5)}, "within 0.05 to 1"),
        ({"channel_dropout_p": 1.1}, "channel_dropout_p is a probability"),
        ({"mix_share": (0.5, 2.0)}, "within 0 to 1"),
        ({"colour_p": 0.2}, "colour_p needs colour_channels"),
        ({"colour_channels": (0, 1)}, "three different channels"),
        ({"colour_channels": (0, 1, 1)}, "three different channels"),
        ({"colour_channels": (-1, 0, 1)}, "three different channels"),
        ({"zero_outside": 1}, "true or false"),
        ({"rotation_degrees": ((-30, 30), (-30, 30))}, "3 ranges"),
        ({"rotation_degrees": ((-200, 30),) * 3}, "-180 to 180"),
        ({"mirror_axes": (0, 0)}, "mirror_axes"),
        ({"mirror_axes": (3,)}, "mirror_axes"),
        ({"through_plane": 3}, "through_plane"),
        ({"through_plane": 0}, "turns about that axis only"),
        ({"rotation_degrees": ((-9, 9),), "mirror_axes": (), "through_plane": 0}, "3D patch"),
    ],
)
def test_values_out_of_range_are_refused(change, message, without_shape_checks):
    with pytest.raises(PlanError, match=message):
        Augmentation(**change)


@pytest.mark.parametrize(
    ("patch", "degrees", "through_plane"),
    [
        ((64, 64), ((-180.0, 180.0),), None),
        ((96, 64), ((-180.0, 180.0),), None),
        ((97, 64), ((-15.0, 15.0),), None),
        ((40, 56, 40), ((-30.0, 30.0),) * 3, None),
        ((48, 16, 48), ((-30.0, 30.0),) * 3, None),
        ((49, 16, 49), ((0.0, 0.0), (-180.0, 180.0), (0.0, 0.0)), 1),
    ],
)
def test_the_recipe_follows_the_proportions_of_the_patch(patch, degrees, through_plane):
    spec = Augmentation.for_patch(patch)
    assert spec.rotation_degrees == degrees
    assert spec.through_plane == through_plane
    assert spec.ndim == len(patch)
    assert spec.mirror_axes == tuple(range(len(patch)))


@pytest.mark.parametrize("patch", [(8,), (8, 8, 8, 8), (8, 0), (8, 8.5)])
def test_a_patch_must_be_two_or_three_whole_numbers(patch, without_shape_checks):
    with pytest.raises(PlanError, match="patch_size"):
        Augmentation.for_patch(patch)


@pytest.mark.parametrize(
    ("modality", "on"),
    [
        ("MR", {"bias_field_p", "motion_p", "ghosting_p", "spike_p"}),
        ("CT", {"ct_noise_p"}),
        ("RGB", {"colour_p"}),
        ("US", set()),
    ],
)
def test_the_stronger_recipe_adds_what_goes_wrong_in_such_images(modality, on):
    plain = Augmentation.for_patch((64, 64), mirror_axes=(0,))
    strong = plain.stronger(modality)
    changed = {name for name in Augmentation.__dataclass_fields__ if getattr(strong, name) != getattr(plain, name)}
    assert changed - {"colour_channels"} == on | {"elastic_p"}
    assert strong.colour_channels == ((0, 1, 2) if modality == "RGB" else ())


def test_the_stronger_recipe_keeps_colours_that_were_named():
    assert Augmentation(colour_channels=(2, 1, 0)).stronger("RGB").colour_channels == (2, 1, 0)
