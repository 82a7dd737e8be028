"""What the study writes: tables, pictures and label maps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vesalius.image import Grid, LabelMap, Labels
from vesalius.io import write
from vesalius.io.atomic import make_folder, write_text
from vesalius.metrics.froc import Finding, Froc
from vesalius.report import Section, overlay
from vesalius.report.plots import froc_picture
from vesalius.report.tables import write_rows
from vesalius.studies.lung_nodule.measuring import Nodule, label_map
from vesalius.studies.lung_nodule.scans import Scan
from vesalius.studies.lung_nodule.search import cube
from vesalius.transform import resample

_WINDOW_HU = (-1000.0, 400.0)
_SHOWN_MM = 56.0  # around a nodule
_SHOWN = 6
_COLUMNS = (
    "scan", "nodule", "x_mm", "y_mm", "z_mm", "probability", "volume_ml", "long_axis_mm", "short_axis_mm",
    "mean_diameter_mm", "lung_rads_size", "course", "doubling_days",
)  # fmt: skip


def write_findings(nodules: Sequence[Nodule], scans: Mapping[str, Grid], out: Path) -> None:
    """Write ``findings.csv``, ``findings.json`` and a label map for each scan in ``nodules``.

    Args:
        nodules: Of all scans.
        scans: Grid of each scan.
        out: Where.
    """
    rows = [dict(zip(_COLUMNS, _row(nodule), strict=True)) for nodule in nodules]
    write_rows([_COLUMNS, *(row.values() for row in rows)], out / "findings.csv")
    write_text(out / "findings.json", json.dumps({"findings": rows}, indent=1) + "\n")
    folder = make_folder(out / "nodules")
    for scan, grid in scans.items():
        write(label_map([nodule for nodule in nodules if nodule.scan == scan], grid), folder / f"{scan}.nii.gz")


def findings_section(
    nodules: Sequence[Nodule], scans: Mapping[str, Scan], *, heading: str, text: str, findings: Sequence[Finding] = ()
) -> Section:
    """The table of what was found, and slices around the surest.

    Args:
        nodules: What was found.
        scans: By name.
        heading: Of the section.
        text: Below it.
        findings: What readers marked, if they did: the table says which was hit.
    """
    head = ["scan", "nodule", "probability", "volume, ml", "axes, mm", "mean, mm", "size class", "since before"]
    rows = [head + (["readers' diameter, mm"] if findings else [])]
    for nodule in nodules:
        since: str = nodule.course or ""
        if nodule.doubling_days is not None:
            since += f", doubles in {nodule.doubling_days:.0f} days" if nodule.doubling_days > 0 else ", shrinks"
        chance = "by size" if nodule.probability is None else f"{nodule.probability:.2f}"
        axes = f"{nodule.long_axis_mm:.1f} x {nodule.short_axis_mm:.1f}"
        row = [short(nodule.scan), str(nodule.number), chance, f"{nodule.volume_ml:.3g}", axes]
        row += [f"{nodule.diameter_mm:.1f}", nodule.size_class, since]
        if findings:
            hit = hit_by(nodule, findings)
            row.append(
                "not marked" if hit is None else "need not be found" if hit.irrelevant else f"{hit.diameter_mm:.1f}"
            )
        rows.append(row)
    return Section(heading, [text], rows if len(rows) > 1 else (), pictures(nodules, scans))


def froc_section(curves: Mapping[str, Froc], scans: int) -> Section:
    """The challenge's curve and its table.

    Args:
        curves: By detector; the first is what the study is about.
        scans: That were searched.
    """
    first = next(iter(curves.values()))
    head = ["", *(f"{rate:g} false a scan" for rate in first.rates), "CPM"]
    rows = [[name, *(f"{s:.3f}" for s in curve.at_rates), f"{curve.cpm:.3f}"] for name, curve in curves.items()]
    interval = f" (95 % interval {first.low:.3f} to {first.high:.3f})" if np.isfinite(first.low) else ""
    text = (
        f"{first.findings} nodules were to be found in {scans} scans that were not learnt from; a candidate hits one "
        f"if it lies nearer to its centre than its radius. The CPM is {first.cpm:.3f}{interval}. What readers marked "
        "and need not be found counts neither way."
    )
    return Section("Finding nodules, by LUNA16's rules", [text], [head, *rows], {"FROC": froc_picture(curves)})


def hit_by(nodule: Nodule, findings: Sequence[Finding]) -> Finding | None:
    """What readers marked where a nodule was found; a nodule before what need not be found.

    Args:
        nodule: What was found.
        findings: Of all scans.
    """
    hits = [
        one
        for one in findings
        if one.scan == nodule.scan
        and np.linalg.norm(np.subtract(one.centre_mm, nodule.centre_mm)) < one.diameter_mm / 2
    ]
    return min(hits, key=lambda one: one.irrelevant, default=None)


def pictures(nodules: Sequence[Nodule], scans: Mapping[str, Scan]) -> dict[str, NDArray[np.uint8]]:
    """Slices around the first nodules.

    Args:
        nodules: The surest first.
        scans: By name.
    """
    shown: dict[str, NDArray[np.uint8]] = {}
    for nodule in nodules[:_SHOWN]:
        image = scans[nodule.scan].read()
        side = int(max(_SHOWN_MM, 1.6 * nodule.long_axis_mm))
        grid = cube(nodule.centre_mm, side)
        labels = LabelMap(
            (resample(nodule.shape, grid, interpolation="label-wise").array > 0).astype(np.uint8),
            grid,
            Labels.of({"nodule": 1}),
        )
        part = resample(image, grid, fill=-1000.0)
        part = replace(part, meta=replace(part.meta, modality="CT"))
        size = f"{nodule.diameter_mm:.1f} mm, {nodule.volume_ml:.3g} ml"
        caption = f"{short(nodule.scan)}, nodule {nodule.number}: {size}"
        shown[caption] = overlay(part, labels, window=_WINDOW_HU)
    return shown


def short(name: str) -> str:
    """A name that fits into a table: of a series instance UID the end tells them apart."""
    return name if len(name) <= 24 else f"…{name[-8:]}"


def _row(nodule: Nodule) -> list[str | float | None]:
    return [
        nodule.scan,
        nodule.number,
        *(round(c, 2) for c in nodule.centre_mm),
        None if nodule.probability is None else round(nodule.probability, 4),
        round(nodule.volume_ml, 4),
        round(nodule.long_axis_mm, 2),
        round(nodule.short_axis_mm, 2),
        nodule.diameter_mm,
        nodule.size_class,
        nodule.course,
        None if nodule.doubling_days is None else round(nodule.doubling_days, 1),
    ]
