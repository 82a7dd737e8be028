import math
from dataclasses import replace

import pytest
from phantoms import FACTS

from vesalius.errors import PlanError
from vesalius.nets import EncoderUNetSpec, FCNSpec, RecurrentUNetSpec, SlicesSpec, activation_bytes
from vesalius.plan import (
    Budget,
    Configuration,
    Fingerprint,
    Network,
    make_cascade,
    make_plan,
    plan_from_json,
    plan_to_json,
)
from vesalius.plan.configuration import first_configuration, low_resolution, patches, slice_axis, too_thin

STEPS = Budget(steps=10, memory_gib=1024)
FLAT = replace(FACTS, ndim=2, shapes=((96, 64),), spacings_mm=((1.0, 1.0),))
LARGE = replace(FACTS, shapes=((400, 400, 300),), spacings_mm=((0.8, 0.8, 1.0),), label_thickness_mm=(("a", 20.0),))


def quick(*_: object) -> float:
    return 0.1


@pytest.mark.parametrize(
    ("facts", "network", "shape", "spacing", "expected"),
    [
        (FLAT, "unet", (96, 64), (1.0, 1.0), "2d"),
        (FACTS, "unet", (128, 128, 96), (1.0, 1.0, 1.0), "3d"),
        (FACTS, "unet", (224, 224, 10), (1.5, 1.5, 8.0), "3d"),  # ten slices can be halved once
        (FACTS, "unet", (224, 224, 7), (1.5, 1.5, 8.0), "2.5d"),
        (FACTS, "unet", (7, 224, 224), (8.0, 1.5, 1.5), "2.5d"),
        (FACTS, "unet", (224, 224, 2), (1.5, 1.5, 8.0), "2d"),
        (FACTS, "unet", (64, 64, 7), (1.0, 1.0, 1.0), "3d"),  # small, but cubes
        (FACTS, "swin_unetr", (224, 224, 12), (1.0, 1.0, 2.0), "2.5d"),  # it would step by 32
        (FACTS, "recurrent_unet", (128, 128, 96), (1.0, 1.0, 1.0), "2.5d"),
        (FACTS, "encoder_unet", (128, 128, 96), (1.0, 1.0, 1.0), "2.5d"),
    ],
)
def test_the_configuration_follows_the_facts(
    facts: Fingerprint, network: Network, shape: tuple[int, ...], spacing: tuple[float, ...], expected: str
) -> None:
    found, why = first_configuration(facts, network, shape, spacing)
    assert found == expected
    assert why


@pytest.mark.parametrize("network", ["swin_unetr", "mednext", "unetr"])
@pytest.mark.parametrize("shape", [(32, 32, 12), (16, 16, 16)])
def test_small_images_leave_the_network_more_than_a_voxel(network: Network, shape: tuple[int, ...]) -> None:
    facts = replace(FACTS, shapes=(shape,), spacings_mm=((1.0, 1.0, 1.0),))
    plan = make_plan(facts, Budget(time_s=60, memory_gib=64), network=network, step_seconds=quick)
    assert activation_bytes(plan.network, plan.patch_size) > 0  # a network that is left with one voxel refuses


def test_slices_lie_across_the_coarse_axis_or_the_last() -> None:
    assert slice_axis((8.0, 1.0, 1.0)) == 0
    assert slice_axis((1.0, 1.0, 1.0)) == 2


@pytest.mark.parametrize(("configuration", "depth", "context"), [("2d", 1, 0), ("2.5d", 5, 1)])
def test_a_2d_network_goes_through_slices(configuration: Configuration, depth: int, context: int) -> None:
    plan = make_plan(FACTS, STEPS, configuration=configuration, step_seconds=quick)
    assert isinstance(plan.network, SlicesSpec)
    assert (plan.network.axis, plan.network.context, plan.patch_size[2]) == (2, context, depth)
    assert plan.why("configuration") == "asked for"
    assert (2 in plan.augmentation.mirror_axes) == (context > 0)  # nothing lies on the other side of a single slice
    assert plan_from_json(plan_to_json(plan)) == plan


def test_networks_of_slices_are_wrapped_for_3d_images() -> None:
    recurrent = make_plan(FACTS, STEPS, network="recurrent_unet", step_seconds=quick)
    assert isinstance(recurrent.network, RecurrentUNetSpec)
    encoder = make_plan(FACTS, STEPS, network="encoder_unet", encoder="resnet18", step_seconds=quick)
    assert isinstance(encoder.network, SlicesSpec)
    assert isinstance(encoder.network.inner, EncoderUNetSpec)
    assert (encoder.network.inner.encoder, encoder.network.inner.in_channels) == ("resnet18", 3)


def test_an_encoder_that_was_asked_for_comes_as_it_was_published() -> None:
    colour = replace(FLAT, channels=tuple(replace(FLAT.channels[0], name=n, modality="RGB") for n in "rgb"))
    plan = make_plan(colour, Budget(time_s=60), network="fcn", encoder="vgg16", step_seconds=lambda *_: 1e-4)
    assert isinstance(plan.network, FCNSpec)
    assert (plan.network.encoder, plan.network.width) == ("vgg16", 1.0)
    # ImageNet's own numbers for red, in a picture of 0 to 255.
    red = plan.normalisation[0]
    assert (red.scheme, red.mean, red.std) == ("fixed", pytest.approx(0.485 * 255), pytest.approx(0.229 * 255))


@pytest.mark.parametrize(
    ("facts", "how", "words"),
    [
        (FLAT, {"configuration": "3d"}, "take '2d'"),
        (FLAT, {"network": "recurrent_unet"}, "2D images have none"),
        (FLAT, {"network": "recurrent_unet", "configuration": "2d"}, "2D images have none"),
        (FACTS, {"network": "recurrent_unet", "configuration": "3d"}, "'2.5d' only"),
        (FACTS, {"configuration": "5d"}, "unknown configuration '5d'"),
        (FACTS, {"network": "vnet"}, "unknown network"),
        (FACTS, {"network": "unet", "encoder": "resnet18"}, "an encoder can be chosen for encoder_unet and fcn"),
        (FACTS, {"network": "fcn", "encoder": "resnet19"}, "unknown encoder 'resnet19'"),
        (FACTS, {"configuration": "3d_lowres"}, "take '3d'"),
        (FACTS, {"configuration": "3d_cascade"}, "take '3d'"),
    ],
)
def test_what_does_not_go_together_is_refused(facts: Fingerprint, how: dict[str, str], words: str) -> None:
    with pytest.raises(PlanError, match=words):
        make_plan(facts, STEPS, step_seconds=quick, **how)  # type: ignore[arg-type]


def test_a_low_resolution_is_seen_by_a_quarter() -> None:
    shape, spacing = (512, 512, 300), (0.8, 0.8, 2.0)
    coarse = low_resolution(shape, spacing)
    assert coarse is not None
    voxels = math.prod(n * s / c for n, s, c in zip(shape, spacing, coarse, strict=True))
    assert voxels <= 4.2 * 128 * 128 * 96
    assert voxels <= math.prod(shape) / 2
    assert max(coarse) / min(coarse) < 2.1  # the finer axes grew first
    assert low_resolution((128, 128, 128), (1.0, 1.0, 1.0)) is None


def test_large_images_are_seen_at_a_low_resolution_unless_labels_are_thin() -> None:
    plan = make_plan(LARGE, STEPS, step_seconds=quick)
    assert plan.configuration == "3d_lowres"
    assert min(plan.spacing_mm) > 1.0
    assert "a quarter" in plan.why("spacing_mm")
    thin = make_plan(replace(LARGE, label_thickness_mm=(("a", 3.0),)), STEPS, step_seconds=quick)
    assert (thin.configuration, thin.spacing_mm) == ("3d", (0.8, 0.8, 1.0))
    assert "a would be too thin" in thin.why("configuration")
    assert make_plan(LARGE, STEPS, configuration="3d", step_seconds=quick).configuration == "3d"


def test_thickness_is_measured_in_voxels() -> None:
    facts = replace(LARGE, label_thickness_mm=(("thick", 12.0), ("absent", 0.0)))
    assert too_thin(facts, (2.0, 2.0, 2.0)) == ""
    assert too_thin(facts, (4.0, 4.0, 4.0)) == "thick"


def test_a_cascade_is_a_coarse_and_a_fine_plan_in_one_budget() -> None:
    coarse, fine = make_cascade(LARGE, Budget(time_s=4000, memory_gib=1024), step_seconds=quick)
    assert (coarse.configuration, fine.configuration) == ("3d_lowres", "3d_cascade")
    assert (fine.coarse_labels, fine.network.in_channels) == (1, 2)
    assert min(coarse.spacing_mm) > max(fine.spacing_mm)
    # Two networks share the coarse stage's half, one has the fine one's.
    assert (coarse.budget.time_s, fine.budget.time_s) == (1000, 2000)
    alone, _ = make_cascade(LARGE, STEPS, coarse_folds=1, step_seconds=quick)
    assert alone.budget.steps == 5
    with pytest.raises(PlanError, match="coarse_folds"):
        make_cascade(LARGE, STEPS, coarse_folds=0, step_seconds=quick)


@pytest.mark.parametrize("configuration", ["2d", "2.5d", "3d"])
def test_patches_shrink(configuration: Configuration) -> None:
    found = list(patches(configuration, "unet", (400, 400, 30), (0.8, 0.8, 3.0)))
    sizes = [math.prod(patch) for patch in found]
    assert sizes == sorted(set(sizes), reverse=True)
    assert len(found) > 2
