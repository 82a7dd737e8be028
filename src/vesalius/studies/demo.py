"""The whole way in three minutes, with nothing but what is installed.

A brain that ships in nilearn's wheel (the MNI152 template, an average of 152 people) has its hippocampi segmented by
the built-in bundle; then a small segmenter of grey and white matter is trained on slices of its left half and scored
on those of its right half.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vesalius import __version__
from vesalius.bundle import Bundle, Card
from vesalius.errors import MissingDependencyError, VesaliusError
from vesalius.image import Grid, LabelMap, Labels, Meta, Volume
from vesalius.io import read, write
from vesalius.io.atomic import make_folder, write_text
from vesalius.io.layouts import index
from vesalius.metrics import Scores, evaluate
from vesalius.metrics.size import measure
from vesalius.plan import Budget, fingerprint, make_plan
from vesalius.predict import segment
from vesalius.report import Section, overlay, story_html
from vesalius.train import Status, fit
from vesalius.transform import crop

_CENTRES_MM = {"left": (27.0, 20.0, -14.0), "right": (-27.0, 20.0, -14.0)}
"""Of the hippocampi in MNI space, LPS. Source: the Harvard-Oxford atlas: x = ±27, y = -20, z = -14 in RAS."""
_BOX_MM = (40, 56, 40)  # what the bundle was trained on: a box around one hippocampus
_SLICES_MM = range(-30, 60, 3)  # axial slices that show cortex and ventricles
_TISSUES = Labels.of({"grey matter": 1, "white matter": 2})
_FILES = {"T1": "t1", "grey": "gm", "white": "wm"}


@dataclass(frozen=True)
class Demo:
    """What the demo made.

    Args:
        report: The HTML page.
        structures_ml: Volume of each structure of the brain, and of what lies within the skull.
        volumes_ml: Of each part of both hippocampi.
        dice: Of the small segmenter on the half that it was not trained on.
        trained_steps: How many steps it had.
    """

    report: Path
    structures_ml: Mapping[str, float]
    volumes_ml: Mapping[str, float]
    dice: Mapping[str, float]
    trained_steps: int


def demo(
    out: Path | str, *, budget_s: float = 75.0, device: str = "auto", on_status: Callable[[Status], None] | None = None
) -> Demo:
    """Segment the MNI152 brain and, more finely, its hippocampi; then train a small segmenter of its tissues.

    Writes into ``out``: label maps (NIfTI), pictures (PNG), ``volumes.csv``, the trained bundle and ``report.html``.

    Args:
        out: Folder for the results.
        budget_s: For the training, everything included.
        device: Where to compute.
        on_status: Told how the training goes.

    Returns:
        What was made.

    Raises:
        MissingDependencyError: nilearn, whose wheel holds the brain, is not installed.
        VesaliusError: The folder cannot be written, or holds an earlier demo.
    """
    folder = make_folder(out)
    if (folder / "tissue").exists():
        raise VesaliusError(f"{folder.name}: an earlier demo is there; remove it or name another folder")
    brain = read(_template("T1"))
    brain = Volume(brain.array, brain.grid, Meta(modality="MR"))
    structures, whole = _structures(brain, folder, device)
    found, sections = _hippocampi(brain, folder, device)
    dice, steps, training = _tissues(brain, folder, budget_s, device, on_status)
    page = folder / "report.html"
    story_html(
        [whole, *sections, *training],
        page,
        title="Vesalius: the demo",
        lead="A brain segmented by the built-in bundles, and a small segmenter trained from scratch.",
        provenance={
            "brain": "MNI152 T1 template (ICBM 2009a, an average of 152 people), as shipped with nilearn",
            "bundles": "brain and hippocampus, built in",
            "made by": f"vesalius {__version__}",
        },
    )
    return Demo(page, structures, found, dice, steps)


def _template(name: str) -> Path:
    """A file of the MNI152 template inside nilearn's wheel; nilearn itself is not imported."""
    spec = find_spec("nilearn")
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError("the demo's brain ships with nilearn: pip install 'vesalius[demo]'")
    data = Path(next(iter(spec.submodule_search_locations))) / "datasets" / "data"
    path = data / f"mni_icbm152_{_FILES[name]}_tal_nlin_sym_09a_converted.nii.gz"
    if not path.is_file():
        raise MissingDependencyError("this version of nilearn does not hold the MNI152 template; install 0.11 or later")
    return path


def _structures(brain: Volume, folder: Path, device: str) -> tuple[dict[str, float], Section]:
    """Every structure that the bundle `brain` knows, left beside right."""
    bundle = Bundle.load("brain")
    labels = segment(brain, bundle, device=device).labels
    write(labels, folder / "brain.nii.gz")
    volumes = {size.name: size.volume_ml or 0.0 for size in measure(labels)}
    write_text(
        folder / "structures.csv",
        "\n".join(["structure,volume_ml", *(f"{name},{ml:.2f}" for name, ml in volumes.items())]) + "\n",
    )
    table = [["structure", "left, ml", "right, ml"]]
    for name, ml in volumes.items():
        side, _, part = name.partition(" ")
        if side == "left":
            table.append([part, f"{ml:.2f}", f"{volumes[f'right {part}']:.2f}"])
        elif side != "right":
            table.append([name, f"{ml:.2f}", ""])
    text = (
        "The bundle was trained on images that nobody took, painted from label maps in every contrast, so that it "
        "takes any MR. "
        f"{bundle.card.limits}"
    )
    picture = overlay(brain, labels, path=folder / "brain.png")
    shown = {"Radiological display: the patient's left is on the right": picture}
    return volumes, Section("The MNI152 brain", [text], table, shown)


def _hippocampi(brain: Volume, folder: Path, device: str) -> tuple[dict[str, float], list[Section]]:
    bundle = Bundle.load("hippocampus")
    whole = np.zeros(brain.grid.shape, np.uint8)
    names: dict[str, int] = {}
    volumes: dict[str, float] = {}
    pictures: dict[str, NDArray[np.uint8]] = {}
    for side, centre in _CENTRES_MM.items():
        start = np.round(brain.grid.to_index(centre)).astype(int) - np.asarray(_BOX_MM) // 2
        box = crop(brain, [int(s) for s in start], _BOX_MM)
        labels = segment(box, bundle, device=device).labels
        write(labels, folder / f"{side}-hippocampus.nii.gz")
        pictures[f"{side.capitalize()} hippocampus"] = overlay(box, labels, path=folder / f"{side}-hippocampus.png")
        counts = labels.counts()
        place = tuple(slice(int(s), int(s) + n) for s, n in zip(start, _BOX_MM, strict=True))
        for label in labels.labels.labels:
            name = f"{side} {label.name}"
            names[name] = len(names) + 1
            whole[place][labels.array == label.value] = names[name]
            volumes[name] = counts.get(label.value, 0) * labels.grid.voxel_volume_mm3 / 1000
    both = LabelMap(whole, brain.grid, Labels.of(names))
    write(both, folder / "hippocampi.nii.gz")
    pictures["Both, in the whole brain (radiological display: the patient's left is on the right)"] = overlay(
        brain, both, path=folder / "hippocampi.png"
    )
    table = [["structure", "volume, ml"], *([name, f"{ml:.2f}"] for name, ml in volumes.items())]
    write_text(
        folder / "volumes.csv", "\n".join(",".join(row) for row in [["structure", "volume_ml"], *table[1:]]) + "\n"
    )
    text = (
        "The boxes around the two hippocampi are cut out at their known coordinates and segmented. The bundle was "
        "trained on such boxes of single people; the template is an average of 152, smoother than any of them."
    )
    return volumes, [Section("The hippocampi of the MNI152 brain", [text], table, pictures)]


def _tissues(
    brain: Volume, folder: Path, budget_s: float, device: str, on_status: Callable[[Status], None] | None
) -> tuple[dict[str, float], int, list[Section]]:
    data = _write_slices(brain, folder / "tissue-slices")
    dataset = index(data, patient_pattern="left|right")
    plan = make_plan(fingerprint(dataset), Budget(time_s=budget_s, device=device))
    held_out = [name for name in dataset.ids if name.startswith("right")]
    card = Card(
        name="tissue",
        description="grey and white matter in axial slices of the MNI152 template",
        data="MNI152 template, left half",
        limits="A demonstration on a single averaged brain: of no use on any other.",
    )
    bundle = fit(dataset, plan, folder / "tissue", device=device, validation=held_out, card=card, on_status=on_status)
    case = dataset[dataset.ids.index(held_out[len(held_out) // 2])]
    assert case.reference is not None
    labels = segment(case.image, bundle, device=device).labels
    one: Scores = evaluate(labels, case.reference, case=case.id, metrics=("dice",))
    picture = overlay(case.image, labels, case.reference, path=folder / "tissue.png")
    from PIL import Image

    with Image.open(folder / "tissue" / "curves.png") as image:
        curve = np.asarray(image.convert("RGB"))
    rows = [[name, f"{dice:.3f}"] for name, dice in bundle.card.scores.items()]
    text = (
        f"{len(dataset) - len(held_out)} slices of the left half taught it, {len(held_out)} of the right half test "
        f"it; the reference is the template's own tissue probability. {bundle.card.recipe}. Because both halves are of "
        "one averaged brain, the score shows that the way works, not how well it would do on people."
    )
    shown = ", ".join(f"{name} {values['dice']:.3f}" for name, values in one.values.items())
    pictures = {"The course of the training": curve, f"A slice of the right half (Dice: {shown})": picture}
    section = Section("A small segmenter, trained just now", [text], [["tissue", "Dice"], *rows], pictures)
    return dict(bundle.card.scores), int(bundle.provenance["steps"]), [section]


def _write_slices(brain: Volume, folder: Path) -> Path:
    """Axial slices of each half of the brain as 2D NIfTI, with tissue labels: an ``images`` and ``labels`` layout."""
    images, labels = make_folder(folder / "images"), make_folder(folder / "labels")
    grey, white = (read(_template(name)).array[0] for name in ("grey", "white"))
    # Probabilities are stored as 0 to 255; a voxel belongs to a tissue when that is likelier than not.
    classes = np.where(white > np.maximum(grey, 127), 2, np.where(grey > 127, 1, 0)).astype(np.uint8)
    middle = round(float(brain.grid.to_index((0.0, 0.0, 0.0))[0]))
    leftwards = brain.grid.affine[0, 0] > 0
    halves = {"left": slice(middle, None), "right": slice(None, middle)}
    if not leftwards:
        halves = {"left": halves["right"], "right": halves["left"]}
    for height in _SLICES_MM:
        k = round(float(brain.grid.to_index((0.0, 0.0, float(height)))[2]))
        for side, part in halves.items():
            grid = Grid.from_spacing(brain.array[0, part, :, k].shape, brain.grid.spacing_mm[:2])
            name = f"{side}_{height + 100:03d}.nii.gz"
            write(Volume(brain.array[:, part, :, k], grid, brain.meta), images / name)
            write(LabelMap(classes[part, :, k], grid, _TISSUES), labels / name)
    return folder
