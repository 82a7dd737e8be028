"""The liver and its tumours in CT: LiTS and the Decathlon's liver, the organ first, then the tumours inside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vesalius.bundle import Bundle, Card
from vesalius.errors import BundleError, DataError
from vesalius.image import Case, Dataset, LabelMap, Labels, Record, Volume
from vesalius.io import write
from vesalius.io.atomic import make_folder
from vesalius.io.layouts.lits import LABELS
from vesalius.metrics.lits import LitsCase, lits_case, pool_lits, tumour_burden
from vesalius.metrics.size import axes_mm
from vesalius.predict import Segmenter, load_segmenter, segment
from vesalius.report import Section, overlay
from vesalius.report.tables import write_rows
from vesalius.studies.holdout import train
from vesalius.studies.liver_tumour.cohort import Cohort, load_mended, open_cohort
from vesalius.studies.liver_tumour.sample import write_lits
from vesalius.studies.liver_tumour.telling import case_rows, lesion_rows, patient_rows, score_section
from vesalius.studies.study import Outcome, Setting, write_study
from vesalius.transform import crop, keep_largest, label_components, respace

TITLE = "The liver and its tumours in CT"
DATA = "LiTS (volume-N.nii, segmentation-N.nii) or the Medical Segmentation Decathlon's Task03_Liver"

ORGAN = Labels.of({"liver": 1})
_ORGAN, _TUMOUR = Path("bundles") / "liver", Path("bundles") / "tumour"
_ORGAN_SHARE = 0.4  # of the time: the easier half
_COARSE_MM = 6.0  # the liver is found at no finer spacing than this: all that is wanted is a box around it
_MARGIN_MM = 15.0  # around the liver, for the tumour stage: a coarse liver may miss some of its rim
_PICTURES = 12
_WINDOW_HU = (-60.0, 240.0)  # a narrow window, so that a tumour 50 HU darker than the liver is seen


@dataclass(frozen=True)
class Lesion:
    """A tumour.

    Args:
        volume_ml: Its volume.
        long_mm: Longest diameter in a slice.
        short_mm: Longest one at right angles to it.
    """

    volume_ml: float
    long_mm: float
    short_mm: float


@dataclass(frozen=True, eq=False)
class Patient:
    """What was found in a patient.

    Args:
        case: Name.
        liver_ml: Volume of the liver with its tumours.
        burden: Share of it that is tumour; NaN where no liver was found.
        lesions: The tumours, largest first.
        scores: Against the reference, if there is one.
        picture: Of the result.
    """

    case: str
    liver_ml: float
    burden: float
    lesions: tuple[Lesion, ...]
    scores: LitsCase | None = None
    picture: NDArray[np.uint8] | None = None


def run(data: Path, out: Path, setting: Setting) -> Outcome:
    """Mend and check the cases, train both stages, segment what was held out, score it as LiTS does, measure it."""
    setting.note("reading and checking the cases")
    cohort = open_cohort(data, note=setting.note)
    if setting.trained is not None:
        for name in (_ORGAN, _TUMOUR):
            if not (setting.trained / name).is_dir():
                raise BundleError(f"{setting.trained.name}: not the results of this study: {name} is missing")
        segmenters = [load_segmenter(setting.trained / name, device=setting.device) for name in (_ORGAN, _TUMOUR)]
        return _study(cohort, cohort.dataset, segmenters, out, setting)
    dataset = cohort.dataset.with_reference()
    organ = train(
        replace(dataset, labels=ORGAN, load=load_organ),
        out / _ORGAN,
        setting,
        share=_ORGAN_SHARE,
        card=_card("liver", "the liver with its tumours, as one"),
        folds=1,
    )
    tumour = train(
        replace(dataset, load=load_around_liver),
        out / _TUMOUR,
        setting,
        share=1 - _ORGAN_SHARE,
        card=_card("liver-tumour", "liver and tumours in a box around the liver"),
        folds=1,
    )
    unseen = [case for case in organ.unseen if case in tumour.unseen]
    segmenters = [load_segmenter(one.folder, device=setting.device) for one in (organ, tumour)]
    return _study(cohort, dataset.select(unseen), segmenters, out, setting)


def write_sample(folder: Path, *, seed: int = 0) -> None:
    """Write ten synthetic abdomens in the form of LiTS, with two of its flaws."""
    write_lits(folder, seed=seed)


def load_organ(record: Record, dataset: Dataset) -> Case:
    """A case at the spacing at which the liver is found, its tumours counted as liver."""
    case = load_mended(record, dataset)
    assert case.reference is not None
    spacing = [max(_COARSE_MM, s) for s in case.image.grid.spacing_mm]
    organ = LabelMap((case.reference.array > 0).astype(np.uint8), case.reference.grid, ORGAN)
    return replace(case, image=respace(case.image, spacing, antialias=True), reference=respace(organ, spacing))


def load_around_liver(record: Record, dataset: Dataset) -> Case:
    """A case cut to a box around its liver."""
    case = load_mended(record, dataset)
    assert case.reference is not None
    box = box_around(case.reference)
    if box is None:
        raise DataError(f"{record.id}: its segmentation holds no liver")
    return replace(case, image=crop(case.image, *box), reference=crop(case.reference, *box))


def box_around(labels: LabelMap) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """The box around everything that is not background, with a margin; ``(start, shape)`` as `crop` takes them.

    Example:
        >>> from vesalius.image import Grid
        >>> array = np.zeros((20, 20, 9), np.uint8)
        >>> array[10, 10, 4] = 1
        >>> box_around(LabelMap(array, Grid.from_spacing(array.shape, (3.0, 5.0, 5.0)), ORGAN))
        ((5, 7, 1), (11, 7, 7))
    """
    axes = range(labels.array.ndim)
    occupied = [np.flatnonzero(labels.array.any(axis=tuple(a for a in axes if a != axis))) for axis in axes]
    if not occupied[0].size:
        return None
    reach = [round(_MARGIN_MM / s) for s in labels.grid.spacing_mm]
    low = [max(0, int(at[0]) - n) for at, n in zip(occupied, reach, strict=True)]
    ends = zip(occupied, reach, labels.array.shape, strict=True)
    high = [min(size, int(at[-1]) + 1 + n) for at, n, size in ends]
    return tuple(low), tuple(h - start for h, start in zip(high, low, strict=True))


def find_tumours(image: Volume, organ: Segmenter, tumour: Segmenter) -> LabelMap:
    """The liver and its tumours: the liver coarsely, then both inside a box around it.

    Args:
        image: CT in HU.
        organ: Finds the liver.
        tumour: Finds liver and tumours around it.

    Returns:
        On the image's grid: 1 liver, 2 tumour, in one piece; nothing where no liver was found.
    """
    spacing = [max(_COARSE_MM, s) for s in image.grid.spacing_mm]
    small = respace(image, spacing, antialias=True)
    coarse = keep_largest(segment(small, organ).labels)
    whole = np.zeros(image.grid.shape, np.uint8)
    found = box_around(coarse)
    if found is not None:
        start, shape = _box_on(image, coarse, found)
        inside = segment(crop(image, start, shape), tumour).labels
        whole[tuple(slice(s, s + n) for s, n in zip(start, shape, strict=True))] = inside.array
    return keep_largest(LabelMap(whole, image.grid, LABELS))


def _box_on(
    image: Volume, coarse: LabelMap, box: tuple[tuple[int, ...], tuple[int, ...]]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A box of the coarse image on the fine one."""
    start, shape = (np.asarray(part, np.float64) for part in box)
    corners = coarse.grid.to_points(np.stack([start - 0.5, start + shape - 0.5]))
    ends = np.sort(image.grid.to_index(corners), axis=0)
    size = np.asarray(image.grid.shape)
    low = np.clip(np.floor(ends[0] + 0.5), 0, size - 1).astype(int)
    high = np.clip(np.ceil(ends[1] + 0.5), low + 1, size).astype(int)
    return tuple(low.tolist()), tuple((high - low).tolist())


def measure_lesions(labels: LabelMap) -> tuple[Lesion, ...]:
    """Every connected tumour with its volume and diameters, the largest first.

    Args:
        labels: With a label "tumour".

    Source: diameters as `vesalius.metrics.size.axes_mm` has them (RECIST 1.1).
    """
    numbers, sizes = label_components(labels.binary("tumour"))
    ml = labels.grid.voxel_volume_mm3 / 1000
    found = []
    for number, voxels in enumerate(sizes.tolist(), start=1):
        axes = axes_mm(numbers == number, labels.grid)
        assert axes is not None
        found.append(Lesion(voxels * ml, *axes))
    return tuple(sorted(found, key=lambda one: -one.volume_ml))


def _study(cohort: Cohort, dataset: Dataset, segmenters: Sequence[Segmenter], out: Path, setting: Setting) -> Outcome:
    setting.note(f"segmenting {len(dataset)} cases")
    patients = [_look(case, segmenters, out, shown=number < _PICTURES) for number, case in enumerate(dataset)]
    write_rows(patient_rows(patients, plain=True), out / "patients.csv")
    write_rows(lesion_rows(patients, plain=True), out / "lesions.csv")
    scores = [one.scores for one in patients if one.scores is not None]
    sections: list[Section] = []
    figures: dict[str, float] = {}
    if scores:
        write_rows(case_rows(scores, plain=True), out / "scores.csv")
        figures = dict(pool_lits(scores))
        sections += [score_section(scores, figures), Section("Each case", table=case_rows(scores))]
    texts = [
        "Tumour burden is the share of the liver that is tumour. Diameters are those of RECIST: the longest in a slice "
        "and the longest at right angles to it. The segments of Couinaud are not told: their borders are the hepatic "
        "veins and the branches of the portal vein, which neither data set draws."
    ]
    sections += [
        Section("What each patient has", texts, patient_rows(patients)),
        Section("Each lesion", table=lesion_rows(patients)),
        Section(
            "Pictures",
            ["Filled: what was said. Contour: the reference."],
            (),
            {one.case: one.picture for one in patients if one.picture is not None},
        ),
    ]
    recipes = "; ".join(one.bundle.card.recipe for one in segmenters)
    return write_study(
        out,
        title=TITLE,
        data=DATA,
        lead=f"{len(patients)} cases that neither network had seen; liver, then tumours: {recipes}.",
        sections=sections,
        scores=figures,
        repairs=cohort.repairs,
        provenance={"segmenters": ", ".join(_told(one.bundle) for one in segmenters)},
    )


def _look(case: Case, segmenters: Sequence[Segmenter], out: Path, *, shown: bool) -> Patient:
    labels = find_tumours(case.image, *segmenters)
    write(labels, make_folder(out / "segmentations") / f"{case.id}.nii.gz")
    liver_ml = float((labels.array > 0).sum()) * labels.grid.voxel_volume_mm3 / 1000
    made = Patient(case.id, liver_ml, tumour_burden(labels), measure_lesions(labels))
    if case.reference is not None:
        made = replace(made, scores=lits_case(labels, case.reference, case=case.id))
    if shown:
        picture = overlay(case.image, labels, case.reference, window=_WINDOW_HU, title=case.id)
        made = replace(made, picture=picture)
    return made


def _card(name: str, description: str) -> Card:
    return Card(
        name=name,
        description=f"{description}, in CT with contrast agent",
        data=DATA,
        limits="CT in the portal venous phase. For research use only; not a medical device.",
    )


def _told(bundle: Bundle) -> str:
    return f"{bundle.card.name}, trained on {bundle.provenance.get('training_cases', 0)} cases"
