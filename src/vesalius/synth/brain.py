"""The brain on MR of any contrast: what is segmented, how it is painted, and the plan that learns it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vesalius.augment import Augmentation, Generation
from vesalius.image import Dataset, Labels, Region
from vesalius.image.labels import Code, Label
from vesalius.nets.specs.unet import UNetSpec
from vesalius.plan import Budget, Plan
from vesalius.plan.plan import Reason
from vesalius.plan.preparation import Preparation
from vesalius.plan.recipe import Optimisation
from vesalius.synth.generation import Anatomy, generation_dataset
from vesalius.transform import Normalisation

SPACING_MM = 1.5
_PATCH = (80, 96, 80)
_FEATURES = (16, 48, 80, 112, 144)

# FreeSurfer's values left and right; name; SNOMED CT; the further values that belong to it, left and right.
_PAIRS = (
    (2, 41, "cerebral white matter", ("68523003", "Cerebral white matter"), (25, 30), (57, 62)),
    (3, 42, "cerebral cortex", ("40146001", "Cerebral cortex"), (), ()),
    (4, 43, "lateral ventricle", ("66720007", "Lateral ventricle"), (5, 136, 137), (44, 163, 164)),
    (7, 46, "cerebellar white matter", ("33060004", "Cerebellar white matter"), (), ()),
    (8, 47, "cerebellar cortex", ("25991003", "Cerebellar cortex"), (), ()),
    (10, 49, "thalamus", ("42695009", "Thalamus"), (), ()),
    (11, 50, "caudate", ("11000004", "Caudate nucleus"), (), ()),
    (12, 51, "putamen", ("89278009", "Putamen"), (), ()),
    (13, 52, "pallidum", ("14738005", "Globus pallidus"), (), ()),
    (17, 53, "hippocampus", ("5366008", "Hippocampus"), (), ()),
    (18, 54, "amygdala", ("4958002", "Amygdala"), (), ()),
    (26, 58, "accumbens", ("427667007", "Nucleus accumbens"), (), ()),
    (28, 60, "ventral diencephalon", None, (), ()),
)
_SINGLE = (
    (14, "third ventricle", ("49841001", "Third ventricle"), ()),
    (15, "fourth ventricle", ("35918002", "Fourth ventricle"), ()),
    (16, "brain stem", ("119238007", "Brain stem"), ()),
    (24, "cerebrospinal fluid", ("33930006", "Subarachnoid space of brain"), (72,)),
)
_FLUID = (4, 14, 15, 24, 43)

# A kind for all values that look alike, and the shares of white matter, grey matter and fluid in it.
_MIXED = (
    ((2, 41), (1.0, 0.0, 0.0)),
    ((3, 42), (0.0, 1.0, 0.0)),
    ((4, 43, 5, 44, 14, 15, 72), (0.0, 0.0, 1.0)),
    ((7, 46), (1.0, 0.0, 0.0)),
    ((8, 47), (0.0, 1.0, 0.0)),
    ((10, 49), (0.4, 0.6, 0.0)),
    ((11, 50), (0.1, 0.9, 0.0)),
    ((12, 51), (0.2, 0.8, 0.0)),
    ((13, 52), (0.7, 0.3, 0.0)),
    ((16,), (0.8, 0.2, 0.0)),
    ((17, 53), (0.05, 0.95, 0.0)),
    ((18, 54), (0.0, 1.0, 0.0)),
    ((26, 58), (0.0, 1.0, 0.0)),
    ((28, 60), (0.7, 0.3, 0.0)),
    ((24,), (0.0, 0.0, 1.0)),
)
_ALONE = ((25, 57), (30, 62), (85,), (136, 137, 163, 164))  # lesions, vessels, the chiasm, the choroid plexus
_OUTSIDE = (502, 506, 507, 508, 509, 511, 512, 514, 515, 516, 530)


def brain_anatomy() -> Anatomy:
    """Labels, kinds and sides of SynthSeg's whole-head maps.

    The inferior lateral ventricle and the choroid plexus belong to the lateral ventricle, lesions and vessels to the
    white matter around them, the fifth ventricle to the fluid around the brain. Labels keep FreeSurfer's values. The
    region ``"intracranial"`` is all of them.

    Source: FreeSurfer's ``FreeSurferColorLUT.txt`` (values); Billot et al. 2023, doi:10.1016/j.media.2023.102789 (which
    values are segmented); SNOMED CT as in DICOM PS3.16, by pydicom's dictionary.
    """
    labels: list[Label] = []
    targets: dict[int, int] = {}
    mirrored: dict[int, int] = {}
    for left, right, name, code, more_left, more_right in _PAIRS:
        for value, side, further in ((left, "left", more_left), (right, "right", more_right)):
            labels.append(Label(f"{side} {name}", value, code=code and Code("SCT", *code)))
            targets |= dict.fromkeys((value, *further), value)
        mirrored |= {left: right, right: left}
    for value, name, single_code, more in _SINGLE:
        labels.append(Label(name, value, code=Code("SCT", *single_code)))
        targets |= dict.fromkeys((value, *more), value)
    labels.sort(key=lambda label: label.value)
    everything = tuple(label.value for label in labels)
    regions = (
        Region("intracranial", everything),
        Region("brain tissue", tuple(value for value in everything if value not in _FLUID)),
    )
    groups = [values for values, _ in _MIXED] + [*_ALONE] + [(value,) for value in _OUTSIDE]
    kinds = {0: 0} | {value: number for number, values in enumerate(groups, start=1) for value in values}
    return Anatomy(Labels(tuple(labels), regions), kinds, targets, mirrored)


def brain_generation() -> Generation:
    """How brains are painted.

    Source: that cortex, nuclei and white matter are mixtures of three tissues is the model of atlas-based tissue
    segmentation (Ashburner and Friston 2005, doi:10.1016/j.neuroimage.2005.02.018); the shares are our reading of how
    these structures look in T1, T2 and FLAIR.
    """
    kinds = brain_anatomy().kinds
    return Generation(
        kinds=max(kinds.values()) + 1,
        tissues=tuple((number, shares) for number, (_, shares) in enumerate(_MIXED, start=1)),
        tissue_p=0.85,
        tissue_spread=0.05,
        std=(0.005, 0.08),
        outside=tuple(kinds[value] for value in _OUTSIDE),
        fluid=(kinds[24],),
        strip_p=0.45,
        dark_p=0.85,
    )


def brain_dataset(paths: Sequence[Path], *, mirrored: bool = True) -> Dataset:
    """Whole-head label maps as a data set from which brains are painted.

    Args:
        paths: Maps with the values of SynthSeg's training label maps.
        mirrored: Whether each comes mirrored, too.
    """
    return generation_dataset(paths, brain_anatomy(), spacing_mm=SPACING_MM, mirrored=mirrored)


def brain_plan(budget: Budget, *, steps: float) -> Plan:
    """The plan by which the built-in model ``brain`` is trained.

    Args:
        budget: Time or steps.
        steps: How many are expected: the length of warm-up and moving average follows from it.
    """
    anatomy = brain_anatomy()
    stages = len(_FEATURES)
    network = UNetSpec(
        ndim=3,
        in_channels=1,
        out_channels=len(anatomy.labels) + 1,
        features=_FEATURES,
        strides=((1, 1, 1), *((2, 2, 2),) * (stages - 1)),
        kernels=((3, 3, 3),) * stages,
        encoder_blocks=(1, *(2,) * (stages - 1)),
        decoder_blocks=(1,) * (stages - 1),
        deep_supervision=True,
    )
    augmentation = Augmentation(
        rotation_p=0.8,
        rotation_degrees=((-15.0, 15.0),) * 3,
        scale_p=0.8,
        scale=(0.85, 1.2),
        elastic_p=0.8,
        elastic_control_points=7,
        elastic_displacement=(0.05, 0.3),
        mirror_axes=(),
        bias_field_p=0.8,
        bias_field=(-0.3, 0.3),
        noise_p=0.5,
        noise_std=(0.0, 0.05),
        blur_p=0.7,
        blur_channel_p=1.0,
        blur_sigma=(0.2, 0.8),
        brightness_p=0.0,
        contrast_p=0.0,
        thick_slices_p=0.25,
        thick_slices=(1.5, 4.5),
        low_resolution_p=0.1,
        low_resolution_channel_p=1.0,
        low_resolution=(0.5, 1.0),
        inverted_gamma_p=0.0,
        gamma_p=0.5,
        gamma=(0.6, 1.7),
        generation=brain_generation(),
    )
    reasons = {
        "spacing_mm": "coarser than the maps, so that a patch holds most of a brain; finer than the cortex is thick",
        "normalisation": "what is painted has no scale, so what is segmented must have none",
        "augmentation": "images are painted, then disturbed; not mirrored, because the maps come mirrored",
        "mirror_axes": "a head and its mirror image, in which left and right change names, are averaged",
        "network": "as large as 8 MB allow; full resolution, because the cortex is two voxels thick",
    }
    return Plan(
        ndim=3,
        channels=("image",),
        labels=anatomy.labels,
        configuration="3d",
        calibrated=True,
        spacing_mm=(SPACING_MM,) * 3,
        preparation=Preparation(interpolation="linear", through_plane="neither"),
        normalisation=(Normalisation("percentiles"),),
        patch_size=_PATCH,
        batch_size=1,
        network=network,
        optimisation=Optimisation.for_optimiser("muon", steps),
        augmentation=augmentation,
        foreground_fraction=0.7,
        overlap=0.5,
        mirror_axes=(0,),
        paired_labels=tuple((left, right) for left, right in anatomy.mirrored.items() if left < right),
        budget=budget,
        reasons=tuple(Reason(name, why) for name, why in reasons.items()),
    )
