"""Score the built-in model ``brain``: ``python models/brain/score.py BUNDLE DATA [-o scores.json]``.

DATA is the folder of the project's real data. Nothing that is scored here was learnt from: images painted from the two
maps that are held out, and one real T1 with labels. Where there are several contrasts of one person, what is said of
one is compared with what is said of the other; that needs no labels.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from fit import HELD_OUT
from numpy.typing import NDArray
from scipy import ndimage

from vesalius.image import Grid, LabelMap, Labels, Meta, Volume
from vesalius.io import read
from vesalius.metrics import evaluate
from vesalius.metrics.statistics import bootstrap_means
from vesalius.plan import Budget
from vesalius.predict import Segmenter, load_segmenter, segment
from vesalius.synth.brain import brain_anatomy, brain_dataset, brain_plan
from vesalius.synth.drawn import draw
from vesalius.transform import resample

DRAWS = 4
LEFT_INFERIOR_ANTERIOR = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
"""From voxels of the arrays without affine to LPS, mm: their axes run to the left, down and forwards."""
CONTRASTS = {
    ("white", "grey", "fluid"): "painted, white matter brightest, then grey (as T1)",
    ("fluid", "grey", "white"): "painted, fluid brightest, then grey matter (as T2)",
    ("grey", "white", "fluid"): "painted, grey matter brightest, fluid darkest (as FLAIR)",
}
"""Of painted images, by their tissues from the brightest to the darkest; those of another order are one group, too."""
TISSUES = {"white": (2, 41), "grey": (3, 42), "fluid": (4, 43)}
FLUID = "cerebrospinal fluid"
"""Scored on painted images only: FreeSurfer's label of that name is another, much smaller place."""


def main() -> None:
    """Print the scores, and write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", help="the bundle, or the name of a built-in one")
    parser.add_argument("data", type=Path, help="folder of the real data")
    parser.add_argument("-o", "--output", type=Path, help="where the scores are written as JSON")
    args = parser.parse_args()
    segmenter = load_segmenter(args.bundle)
    labels = brain_anatomy().labels
    found = {
        "oasis T1": _oasis(segmenter, args.data / "oasis_t1_labels", labels),
        "painted": _painted(segmenter, args.data / "synthseg_labelmaps", labels),
        "agreement": dict(_agreement(segmenter, args.data, labels)),
    }
    text = json.dumps(found, indent=2)
    sys.stdout.write(text + "\n")
    if args.output:
        args.output.write_text(text + "\n", encoding="utf-8")


def _painted(segmenter: Segmenter, maps: Path, labels: Labels) -> dict[str, object]:
    dataset = brain_dataset([maps / f"{name}.nii.gz" for name in HELD_OUT], mirrored=False)
    plan = brain_plan(Budget(steps=1), steps=1)
    rows: list[dict[str, float]] = []
    kinds: list[tuple[str, str]] = []
    for number, case in enumerate(dataset):
        for seed in range(DRAWS):
            drawn = draw(case, plan, seed=1000 * number + seed)
            assert drawn.reference is not None
            said = segment(drawn.image, segmenter).labels
            rows.append(_dice(said, drawn.reference, labels))
            kinds.append((_contrast(drawn.image, drawn.reference), case.id))
    by_contrast = {}
    for kind in sorted({kind for kind, _ in kinds}):
        some = [row for row, (its, _) in zip(rows, kinds, strict=True) if its == kind]
        persons = len({person for its, person in kinds if its == kind})
        by_contrast[kind] = {**_summary(some, labels), "persons": persons}
    return {**_summary(rows, labels), "persons": len(HELD_OUT), "by contrast": by_contrast}


def _contrast(image: Volume, reference: LabelMap) -> str:
    """The order of the tissues' brightness, in words."""
    mean = {name: image.array[0][np.isin(reference.array, values)].mean() for name, values in TISSUES.items()}
    return CONTRASTS.get(tuple(sorted(mean, key=lambda name: -mean[name])), "painted, any other contrast")


def _oasis(segmenter: Segmenter, folder: Path, labels: Labels) -> dict[str, object]:
    image, values = (np.load(folder / f"subject_1_{what}.npz")["vol_data"] for what in ("vol", "seg"))
    grid = Grid(image.shape, LEFT_INFERIOR_ANTERIOR)
    scan = Volume(image[None].astype(np.float32), grid, Meta(modality="MR"))
    shown = _as_taught(values, labels)
    start = time.monotonic()
    said = segment(scan, segmenter).labels
    seconds = time.monotonic() - start
    row = _dice(said, LabelMap(shown, grid, labels), labels)
    row.pop(FLUID)
    return {"seconds": round(seconds, 1), **_summary([row], labels)}


def _as_taught(values: NDArray[np.floating], labels: Labels) -> NDArray[np.uint8]:
    """FreeSurfer's finer structures given to those that the segmenter knows, by the same rule as in the maps."""
    targets = {value: value for value in labels.values} | brain_anatomy().targets | {31: 4, 63: 43}
    shown = np.zeros(values.shape, np.uint8)
    for value, target in targets.items():
        shown[values == value] = target
    # Lesions and the corpus callosum have one value for both sides: they go to the nearest white matter.
    both = np.isin(values, (77, 251, 252, 253, 254, 255))
    _, nearest = ndimage.distance_transform_edt(~np.isin(values, (2, 41)), return_indices=True)
    shown[both] = shown[tuple(nearest)][both]
    return shown


def _agreement(segmenter: Segmenter, data: Path, labels: Labels) -> Iterator[tuple[str, object]]:
    """Dice between what is said of two contrasts of one person."""
    mni, tumour = data / "ms_lesion_mr" / "mni_patient19", data / "brain_mr_dicom" / "PGBM-003"
    post = tumour / "11-T1post-18670"
    pairs = {
        "multiple sclerosis, FLAIR and T1, 1 mm, no skull": (mni / "FLAIR.nii.gz", mni / "T1.nii.gz"),
        "glioblastoma, T1 and T1 with contrast agent, 6.5 mm": (tumour / "26401-T1prereg-52906", post),
        "glioblastoma, FLAIR and T1 with contrast agent, 6.5 mm": (tumour / "36468-FLAIRreg-58706", post),
        "glioblastoma, T2 and T1 with contrast agent, 6.5 mm": (tumour / "37830-T2reg-78532", post),
    }
    for name, (one, other) in pairs.items():
        first, second = (segment(_mr(path), segmenter).labels for path in (one, other))
        row = _dice(first, resample(second, first.grid, interpolation="nearest"), labels)
        row.pop(FLUID)
        yield name, _summary([row], labels)


def _mr(path: Path) -> Volume:
    volume = read(path)
    return Volume(volume.array, volume.grid, Meta(modality="MR"))


def _dice(said: LabelMap, reference: LabelMap, labels: Labels) -> dict[str, float]:
    scores = evaluate(said, LabelMap(reference.array, said.grid, labels), metrics=("dice",))
    return {name: scores.values[name]["dice"] for name in labels.names}


def _summary(rows: list[dict[str, float]], labels: Labels) -> dict[str, object]:
    """Means of each structure and of all, with intervals of 95 % over the images where there are several."""
    names = [name for name in labels.names if name in rows[0]]
    table = np.array([[row[name] for row in rows] for name in names])
    mean = np.nanmean(table, axis=0)
    found: dict[str, object] = {"images": len(rows), "mean": round(float(np.nanmean(mean)), 4)}
    if len(rows) > 1:
        drawn = bootstrap_means(mean[None])[:, 0]
        found["interval"] = [round(float(v), 4) for v in np.percentile(drawn, (2.5, 97.5))]
        found["of each image"] = [round(float(v), 4) for v in mean]
    found["structures"] = {name: round(float(np.nanmean(row)), 4) for name, row in zip(names, table, strict=True)}
    return found


if __name__ == "__main__":
    main()
