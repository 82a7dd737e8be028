"""What the report and the tables say of a patient's lesions over time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vesalius.report import Section, overlay
from vesalius.report.tables import write_rows
from vesalius.report.timeline import timeline
from vesalius.studies.follow_up.following import Followed, Seen

_LESION_HEADS = (
    "patient", "lesion", "time_point", "day", "pieces", "volume_ml", "error_ml", "long_axis_mm", "short_axis_mm",
    "verdict", "change", "doubling_days", "event",
)  # fmt: skip
_VISIT_HEADS = (
    "patient", "time_point", "day", "lesions", "volume_ml", "volume_error_ml", "sum_of_diameters_mm",
    "diameter_error_mm", "response_by_diameters", "sure_by_diameters", "response_by_volume", "sure_by_volume", "alerts",
)  # fmt: skip


def write_tables(followed: Mapping[str, Followed], out: Path) -> None:
    """Write ``lesions.csv`` and ``time-points.csv``: days since the first image, no dates."""
    rows: list[tuple[str | float | None, ...]] = [_LESION_HEADS]
    visits: list[tuple[str | float | None, ...]] = [_VISIT_HEADS]
    for patient, found in followed.items():
        for name, course in found.lesions.items():
            for number, (day, seen) in enumerate(zip(found.days, course, strict=True), start=1):
                rows.append(
                    (
                        patient, name, number, day, seen.pieces, seen.volume_ml, seen.error_ml, seen.long_axis_mm,
                        seen.short_axis_mm, seen.verdict or "", seen.change, seen.doubling_days, seen.event,
                    )
                )  # fmt: skip
        for number, day in enumerate(found.days):
            later = number - 1
            said: tuple[str, ...] = ("", "", "", "")
            if number:
                said = tuple(
                    word
                    for course in (found.diameters, found.volumes)
                    for word in (course.responses[later], "yes" if course.is_sure[later] else "no")
                )
            there = sum(course[number].pieces > 0 for course in found.lesions.values())
            visits.append(
                (
                    patient, number + 1, day, there, found.volumes.sums[number], found.volumes.errors[number],
                    found.diameters.sums[number], found.diameters.errors[number], *said,
                    "; ".join(found.alerts[number]),
                )
            )  # fmt: skip
    write_rows(rows, out / "lesions.csv")
    write_rows(visits, out / "time-points.csv")


def sections(patient: str, found: Followed) -> list[Section]:
    """The part of the page that is about a patient."""
    volumes = {name: [seen.volume_ml for seen in course] for name, course in found.lesions.items()}
    errors = {name: [seen.error_ml for seen in course] for name, course in found.lesions.items()}
    pictures = {}
    if found.lesions:
        pictures["Volumes over time; bars are 95 % intervals of the error of measurement"] = timeline(
            found.days, volumes, errors
        )
    (_, first), (image, last) = found.aligned[0], found.aligned[-1]
    pictures["The last time point on the first one's grid: its lesions filled, those of the first as a line"] = overlay(
        image, last, first
    )
    return [
        Section(f"{patient}: course", _course_texts(found), _course_table(found), pictures),
        Section(f"{patient}: lesions", [_LESION_TEXT] if found.lesions else ["No lesions."], _lesion_table(found)),
    ]


_LESION_TEXT = (
    "Volume ± 1.96 standard errors; the longest diameter within a slice, and the longest chord across it. "
    "Changes are those since the time point before; a negative doubling time is that of halving, at the pace since."
)


def _course_texts(found: Followed) -> list[str]:
    alerts = [
        f"Alert at time point {number}: {', '.join(said)}." for number, said in enumerate(found.alerts, start=1) if said
    ]
    doubts = [
        f"Registration of time point {number}: {doubt}."
        for number, fitness in enumerate(found.fitness, start=2)
        for doubt in fitness.doubts
    ]
    summed = f"Diameters are summed of {', '.join(found.targets)}." if found.targets else "No lesion reaches 10 mm."
    return [*(alerts or ["No alert."]), *doubts, summed]


def _course_table(found: Followed) -> list[list[str]]:
    rows = [["time point", "day", "lesions", "volume, ml", "sum of diameters, mm", "by diameters", "by volume"]]
    for number, day in enumerate(found.days):
        there = sum(course[number].pieces > 0 for course in found.lesions.values())
        said = ["first", "first"]
        if number:
            said = [
                course.responses[number - 1] + ("" if course.is_sure[number - 1] else " (not sure)")
                for course in (found.diameters, found.volumes)
            ]
        rows.append(
            [
                str(number + 1),
                str(day),
                str(there),
                _with_error(found.volumes.sums[number], found.volumes.errors[number]),
                _with_error(found.diameters.sums[number], found.diameters.errors[number], digits=1),
                *said,
            ]
        )
    return rows


def _lesion_table(found: Followed) -> list[list[str]]:
    """A row for each lesion and time point, from the one at which it is first seen."""
    rows = [["lesion", "day", "volume, ml", "axes, mm", "since before", "doubling, days", "pieces"]]
    for name, course in found.lesions.items():
        known = False
        for day, seen in zip(found.days, course, strict=True):
            known = known or seen.pieces > 0
            if known and (seen.pieces or seen.verdict):
                rows.append([name, str(day), *_cells(seen)])
    return rows if len(rows) > 1 else []


def _cells(seen: Seen) -> list[str]:
    changed = "" if seen.change is None or not seen.pieces else f" {seen.change:+.0%}"
    since = "" if seen.verdict is None else f"{seen.verdict}{changed}"
    if not seen.pieces:
        return ["", "", since, "", ""]
    paced = seen.doubling_days is not None and seen.verdict in ("grown", "shrunk")
    return [
        _with_error(seen.volume_ml, seen.error_ml),
        f"{seen.long_axis_mm:.1f} × {seen.short_axis_mm:.1f}",
        since,
        f"{seen.doubling_days:.0f}" if paced else "",
        f"{seen.pieces}{', ' + seen.event if seen.event else ''}",
    ]


def _with_error(value: float, error: float, *, digits: int = 2) -> str:
    return f"{value:.{digits}f} ± {1.96 * error:.{digits}f}"
