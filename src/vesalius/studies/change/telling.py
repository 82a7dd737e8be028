"""What is written of a change: a page, tables, pictures, maps of voxels and surfaces with their distances."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import numpy as np

from vesalius import __version__
from vesalius.io import write
from vesalius.io.atomic import atomic_folder, make_folder, write_text
from vesalius.mesh.files import write_mesh
from vesalius.register import write_alignment
from vesalius.report import Section, story_html
from vesalius.report.canvas import write_png
from vesalius.studies.change.comparing import Change
from vesalius.studies.change.drawing import Kind, Picture, draw_change, file_names
from vesalius.studies.change.measuring import Changed, Place
from vesalius.studies.change.placing import Scan

TITLE = "Before and after"

_HEADS = (
    "structure", "before, ml", "after, ml", "change, ml", "change", "gained, ml", "lost, ml", "mean, mm", "rms, mm",
    "95 %, mm", "out, mm", "in, mm", "beyond error", "growth", "verdict",
)  # fmt: skip
_RULES = (
    "Everything lies in the space of the first scan, onto which the second one was moved as a whole; left, right, "
    "front and back are the patient's. Volumes are counted on each scan's own voxels; the verdict says grown or shrunk "
    "only where they differ by more than 1.96 standard errors, which are those of counting voxels, not of drawing. "
    "Gained and lost volumes are counted where both lie on the first scan's voxels: they hold the error of resampling.",
    "Distances are those from each place of the surface after to the surface before, outwards positive, exact to the "
    "triangles; the second surface was moved and not resampled. Beyond error is the share of the surface that has "
    "moved farther than the size of the voxels of both scans explains in 95 of 100 places: up to 5 % come by chance. "
    "Errors of drawing and of the registration come on top, and are not known. Where a scan ends was not measured.",
)
_GROWTH = (
    "By how much the tissue of each place has grown: the volume's factor of a smooth deformation that brings the "
    "second image onto the first, 1 being none. It is found where the image has contrast, spread over its "
    "neighbourhood, and is rather too near to 1 than too far from it.",
)


def write_change(
    before: Scan,
    change: Change,
    out: Path,
    *,
    formats: Sequence[str] = ("ply", "glb"),
    provenance: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Write all that is known of a change into a new folder, whole or not at all.

    Writes ``report.html``, ``change.json``, ``transform.txt`` (ITK: from the first scan's points to the second's),
    ``distance.EXT`` of each format, ``distance.png``, ``maps/NAME.nii.gz``, the second scan on the first one's grid as
    ``after.nii.gz`` and ``after-labels.nii.gz``, and ``growth.nii.gz`` where growth was asked for.

    Args:
        before: The first scan.
        change: As `compare` gave it.
        out: Nothing may stand there, but an empty folder.
        formats: Of the surfaces: ply, glb, vtp.
        provenance: Lines of the colophon: names of files, never of patients.
        notes: More doubts, a sentence each.

    Returns:
        What ``change.json`` holds.

    Raises:
        VesaliusError: Something stands there, or the system refused to write.
    """
    told = told_of(change, notes)
    with atomic_folder(out) as folder:
        pictures, missing = draw_change(before, change)
        told["pictures"] = missing or "drawn"
        for picture in pictures:
            write_png(picture.drawn, folder / picture.file)
        if change.distances:
            for ending in formats:
                write_mesh(change.distances, folder / f"distance.{ending}")
        names = file_names(change.maps)
        make_folder(folder / "maps")
        for name, one in change.maps.items():
            write(one, folder / "maps" / f"{names[name]}.nii.gz")
        write(change.placed.labels, folder / "after-labels.nii.gz")
        if change.placed.image is not None:
            write(change.placed.image, folder / "after.nii.gz")
        if change.growth is not None:
            write(change.growth.factor, folder / "growth.nii.gz")
        write_alignment(change.placed.alignment, folder / "transform.txt")
        write_text(folder / "change.json", json.dumps(told, indent=1) + "\n")
        story_html(
            _sections(change, pictures, missing, told["doubts"]),
            folder / "report.html",
            title=TITLE,
            lead=_lead(change),
            provenance={**(provenance or {}), "made by": f"vesalius {__version__}"},
        )
        told["files"] = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return told


def told_of(change: Change, notes: Sequence[str] = ()) -> dict[str, Any]:
    """A change in plain numbers and words, for JSON.

    Args:
        change: As `compare` gave it.
        notes: More doubts, a sentence each; they come first.
    """
    alignment = change.placed.alignment
    fitness = alignment.fitness
    told: dict[str, Any] = {
        "space": "the first scan's, LPS, mm",
        "matrix": alignment.matrix.tolist(),
        "registration": None if fitness is None else {**_finite(asdict(fitness)), "doubts": list(fitness.doubts)},
        "structures": [],
        "growth": None,
        "doubts": [*notes, *change.doubts],
    }
    for one in change.structures:
        row = asdict(one)
        row |= {"difference_ml": one.difference_ml, "difference_percent": one.difference_percent}
        if one.moved is not None:
            row["moved"]["beyond"] = {
                limit: {"out": out, "in": inwards} for limit, (out, inwards) in one.moved.beyond.items()
            }
            row["moved"]["is_within_error"] = one.moved.is_within_error
        told["structures"].append(row)
    if change.growth is not None:
        factor = change.growth.factor.array[0][change.growth.shown]
        low, middle, high = (float(value) for value in np.percentile(factor, (5, 50, 95)))
        told["growth"] = {"p5": low, "median": middle, "p95": high, "folded": change.growth.fitness.folded}
    return told


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(value, float) and not np.isfinite(value) else value for name, value in row.items()}


def _lead(change: Change) -> str:
    counts = {
        word: sum(one.verdict == word for one in change.structures) for word in ("grown", "shrunk", "new", "gone")
    }
    said = [f"{count} {word}" for word, count in counts.items() if count]
    count = len(change.structures)
    return f"{count} structure{'s' if count > 1 else ''} compared{': ' if said else '; none changed'}{', '.join(said)}."


def _sections(change: Change, pictures: Sequence[Picture], missing: str, doubts: Sequence[str]) -> list[Section]:
    found = [Section("What may be wrong", [f"{one[0].upper()}{one[1:]}." for one in doubts])] if doubts else []
    found.append(Section("What has changed", table=_table(change.structures)))
    places = [row for one in change.structures for row in _places(one)]
    if places:
        heads = ["structure", "place", "mm", "x (left), mm", "y (back), mm", "z (head), mm", "side of its middle"]
        found.append(Section("Where it has changed most", table=[heads, *places]))
    beyond = _beyond(change.structures)
    if len(beyond) > 1:
        found.append(Section("How much of the surface has moved farther than", table=beyond))
    by_kind = {kind: {one.caption: one.drawn for one in pictures if one.kind == kind} for kind in get_args(Kind)}
    if by_kind["surface"] or missing:
        text = "Orange-red has moved outwards, blue inwards; dark grey places were not measured."
        found.append(
            Section("The surface after, by its distance to that before", [missing or text], pictures=by_kind["surface"])
        )
    found.append(Section("Before and after", pictures=by_kind["scans"]))
    if change.growth is not None:
        folded = change.growth.fitness.folded
        said = f"The deformation folds at {folded:.2%} of the places." if folded else "The deformation folds nowhere."
        found.append(Section("How the tissue has grown", [*_GROWTH, said], pictures=by_kind["growth"]))
    found.append(Section("How this was found", [_registered(change), *_RULES]))
    return found


def _registered(change: Change) -> str:
    fitness = change.placed.alignment.fitness
    if fitness is None:
        return "The scans were compared where their transform or their headers place them; nothing was registered."
    before = "no overlap" if not np.isfinite(fitness.before) else f"{fitness.before:.3f}"
    return (
        f"Registered by {fitness.measure.replace('-', ' ')}: {before} before, {fitness.after:.3f} after; "
        f"{fitness.overlap:.0%} of what the first scan shows is covered."
    )


def _table(structures: Sequence[Changed]) -> list[list[str]]:
    rows = [list(_HEADS)]
    for one in structures:
        moved = one.moved
        far = [""] * 6
        if moved is not None:
            numbers = (moved.mean_mm, moved.rms_mm, moved.p95_mm, moved.outwards.distance_mm, moved.inwards.distance_mm)
            far = [*(f"{value:.2f}" for value in numbers), f"{moved.beyond_error:.0%}"]
        percent = one.difference_percent
        rows.append([
            one.name, f"{one.before_ml:.3f}", f"{one.after_ml:.3f}",
            f"{one.difference_ml:+.3f} ± {1.96 * one.error_ml:.3f}", "" if percent is None else f"{percent:+.1f} %",
            f"{one.gained_ml:.3f}", f"{one.lost_ml:.3f}", *far, "" if one.growth is None else f"{one.growth:.3f}",
            one.verdict,
        ])  # fmt: skip
    empty = {column for column in range(len(_HEADS)) if not any(row[column] for row in rows[1:])}
    return [[cell for column, cell in enumerate(row) if column not in empty] for row in rows]


def _places(one: Changed) -> list[list[str]]:
    if one.moved is None:
        return []
    pairs: list[tuple[str, Place]] = [("farthest out", one.moved.outwards), ("farthest in", one.moved.inwards)]
    if one.moved.receded is not None:
        pairs.append(("farthest left behind", one.moved.receded))
    return [
        [one.name, word, f"{place.distance_mm:+.2f}", *(f"{mm:.1f}" for mm in place.at_mm), place.side]
        for word, place in pairs
    ]


def _beyond(structures: Sequence[Changed]) -> list[list[str]]:
    limits = next((list(one.moved.beyond) for one in structures if one.moved is not None), [])
    rows = [["structure", *(f"{limit} mm {way}" for limit in limits for way in ("out", "in"))]]
    rows += [
        [one.name, *(f"{share:.1%}" for limit in limits for share in one.moved.beyond[limit])]
        for one in structures
        if one.moved is not None
    ]
    return rows
