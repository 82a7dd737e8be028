"""Single images painted as a plan says: to look at, and to score by."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from vesalius.augment import apply, sample
from vesalius.errors import PlanError
from vesalius.image import Case, LabelMap, Meta, Volume
from vesalius.plan import Plan
from vesalius.plan.prepare import prepare_kinds
from vesalius.transform import reorient, resample


def draw(case: Case, plan: Plan, *, seed: int) -> Case:
    """Paint an image from a case's map of kinds, as training does, but where the map lies.

    Args:
        case: Of `vesalius.synth.generation.generation_dataset`.
        plan: With ``augmentation.generation``.
        seed: Of everything random.

    Returns:
        The case with a painted image in place of the map, both turned to LPS and cropped to the head; what was stripped
        away is background in its reference.

    Raises:
        PlanError: The plan is for images that were acquired.
        DataError: The map does not suit the plan.
    """
    if plan.augmentation.generation is None:
        raise PlanError("this plan is for images that were acquired: there is nothing to draw")
    assert case.reference is not None
    prepared = prepare_kinds(case.image, plan)
    reference = resample(reorient(case.reference), prepared.grid, interpolation="nearest")
    spec = replace(plan.augmentation, rotation_p=0.0, scale_p=0.0, elastic_p=0.0, mirror_p=0.0, mix_p=0.0)
    generator = torch.Generator().manual_seed(seed)
    parameters = sample(spec, 1, channels=len(plan.channels), generator=generator)
    images, labels = apply(
        torch.from_numpy(prepared.array)[None],
        torch.from_numpy(reference.array.astype(np.int32))[None],
        parameters,
        prepared.grid.shape,
    )
    image = Volume(images[0].numpy(), prepared.grid, Meta(modality="MR"))
    array = labels[0].numpy().astype(reference.array.dtype)
    return replace(case, image=image, reference=LabelMap(array, prepared.grid, reference.labels))
