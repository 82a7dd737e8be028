"""What time_to_dice.py measured: Dice against time, as tables and pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Clock = Literal["wall_s", "core_s"]
CLOCKS: dict[Clock, str] = {"wall_s": "wall time", "core_s": "processor time / cores"}
COLOURS = {"Vesalius": "#0b7a75", "nnU-Net": "#c8553d"}
RESAMPLES = 10_000


@dataclass(frozen=True)
class Point:
    """What a segmenter scored, and what it had taken by then.

    Args:
        wall_s: Wall seconds.
        core_s: Processor seconds divided by the cores.
        cases: Dice of each held-out case: its mean over the labels, NaN where no label has one.
    """

    wall_s: float
    core_s: float
    cases: Mapping[str, float]

    @property
    def dice(self) -> float:
        """Mean over the cases."""
        return float(np.nanmean(list(self.cases.values())))


@dataclass(frozen=True)
class Curve:
    """Points of one side in order of time.

    Args:
        side: ``"Vesalius"`` or ``"nnU-Net"``.
        name: For the legend: the side, and which of its variants.
        budgets: Nominal seconds of each point; of nnU-Net's only the last point ends its budget, the others have NaN.
        points: In order of time.
    """

    side: str
    name: str
    budgets: tuple[float, ...]
    points: tuple[Point, ...]

    def time_to(self, dice: float, clock: Clock) -> float:
        """The least time after which this Dice was reached; infinite where it never was."""
        return min((getattr(p, clock) for p in self.points if p.dice >= dice), default=math.inf)


def read_curves(folder: Path) -> list[Curve]:
    """Everything that was measured on a data set.

    Args:
        folder: Of the data set, in the work folder.
    """
    return [*_read_vesalius(folder), *_read_nnunet(folder)]


def _read_vesalius(folder: Path) -> list[Curve]:
    variants: dict[str, list[tuple[float, Point]]] = {}
    for path in folder.glob("vesalius-*/scores.json"):
        run = json.loads((path.parent / "run.json").read_text())
        point = Point(run["wall_s"], run["processor_s"] / run["cores"], _cases(path))
        tag = path.parent.name.split("-", 2)[2:]
        variants.setdefault(" ".join(["Vesalius", *tag]), []).append((run["budget_s"], point))
    return [_curve("Vesalius", name, found) for name, found in sorted(variants.items())]


def _read_nnunet(folder: Path) -> list[Curve]:
    curves = []
    for path in sorted(folder.glob("nnunet-*/points.json")):
        before = json.loads((folder / "nnunet-prepare.json").read_text())
        run = json.loads((path.parent / "run.json").read_text())
        points = json.loads(path.read_text())
        paced = path.parent / "pace.json"
        pace = json.loads(paced.read_text()) if paced.is_file() else None
        nominal, _, schedule = path.parent.name.removeprefix("nnunet-").partition("s")
        found = []
        for stamp in points:
            scores = path.parent / f"scores_{stamp['epoch']:05d}.json"
            if scores.is_file():
                spent = stamp
                if pace is not None:
                    spent = {clock: stamp["iterations"] * pace[clock] for clock in ("wall_s", "processor_s")}
                wall_s = before["wall_s"] + spent["wall_s"]
                core_s = (before["processor_s"] + spent["processor_s"]) / run["cores"]
                ends = stamp is points[-1] and (path.parent / "done").is_file()
                found.append((float(nominal) if ends else math.nan, Point(wall_s, core_s, _cases(scores))))
        if found:
            words = f"nnU-Net, {_time(float(nominal))}{', its own schedule' * bool(schedule)}"
            words += f", {pace['wall_s']:.2f} s an iteration" if pace else ""
            curves.append(_curve("nnU-Net", words, found))
    return curves


def _curve(side: str, name: str, found: Sequence[tuple[float, Point]]) -> Curve:
    budgets, points = zip(*sorted(found, key=lambda pair: pair[1].wall_s), strict=True)
    return Curve(side, name, budgets, points)


def _cases(scores: Path) -> dict[str, float]:
    found = {}
    for case, targets in json.loads(scores.read_text()).items():
        values = [row["dice"] for row in targets.values() if row["dice"] is not None]
        found[case] = float(np.mean(values)) if values else math.nan
    return found


def tell_times(name: str, curves: Sequence[Curve]) -> None:
    """Print, for each Dice that nnU-Net reached, how long each side took to it."""
    ours = [curve for curve in curves if curve.side == "Vesalius"]
    for curve in curves:
        print(f"\n{name}: {curve.name}\n{'budget':>8} {'wall':>8} {'cores':>8} {'Dice':>7}")
        for budget, point in zip(curve.budgets, curve.points, strict=True):
            nominal = "" if math.isnan(budget) else _time(budget)
            print(f"{nominal:>8} {_time(point.wall_s):>8} {_time(point.core_s):>8} {point.dice:>7.4f}")
    for peer in curves:
        if peer.side == "Vesalius":
            continue
        for own in ours:
            print(f"\n{name}: time to the Dice that nnU-Net reaches ({own.name} against {peer.name})")
            print(f"{'Dice':>7}  " + "  ".join(f"{words:^30}" for words in CLOCKS.values()))
            print(" " * 9 + "  ".join(f"{'nnU-Net':>10} {'Vesalius':>10} {'ratio':>8}" for _ in CLOCKS))
            best = -math.inf
            for point in peer.points:
                if point.dice <= best:
                    continue  # it had been there before
                best = point.dice
                cells = []
                for clock in CLOCKS:
                    theirs, mine = getattr(point, clock), own.time_to(point.dice, clock)
                    ratio = f"{theirs / mine:.1f}" if math.isfinite(mine) else "–"
                    cells.append(f"{_time(theirs):>10} {_time(mine):>10} {ratio:>8}")
                print(f"{best:>7.4f}  " + "  ".join(cells))


def tell_budgets(sets: Mapping[str, Sequence[Curve]]) -> None:
    """Print the Dice of both sides at equal budgets, with the interval of the paired difference over the cases."""
    rows = []
    for name, curves in sets.items():
        peers = {b: p for c in curves if c.side != "Vesalius" for b, p in zip(c.budgets, c.points, strict=True)}
        for own in curves:
            for budget, point in zip(own.budgets, own.points, strict=True):
                if own.side == "Vesalius" and budget in peers:
                    rows.append((name, own.name, budget, point, peers[budget]))
    if not rows:
        return
    print(f"\n{'set':18} {'variant':18} {'budget':>7} {'cases':>5} {'nnU-Net':>8} {'Vesalius':>8}  difference (95 %)")
    for name, variant, budget, mine, theirs in rows:
        both = [c for c in mine.cases if not math.isnan(mine.cases[c] + theirs.cases[c])]
        apart = np.array([mine.cases[c] - theirs.cases[c] for c in both])
        low, high = _interval(apart)
        print(
            f"{name:18} {variant:18} {_time(budget):>7} {len(both):>5} {theirs.dice:>8.4f} {mine.dice:>8.4f}  "
            f"{apart.mean():+.4f} ({low:+.4f} to {high:+.4f})"
        )


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Percentile bootstrap of the mean over the cases."""
    random = np.random.default_rng(0)
    means = random.choice(values, (RESAMPLES, len(values))).mean(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def draw(name: str, curves: Sequence[Curve], path: Path) -> None:
    """Draw all curves of a set, once against each clock, into one PNG."""
    if not curves:
        return
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, NullFormatter

    figure = Figure(figsize=(11, 5), layout="constrained")
    figure.suptitle(f"{name}: Dice on {len(curves[0].points[0].cases)} unseen cases")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (clock, words) in zip(panels, CLOCKS.items(), strict=True):
        for number, curve in enumerate(curves):
            axes.plot(
                [getattr(point, clock) / 60 for point in curve.points],
                [point.dice for point in curve.points],
                color=COLOURS[curve.side],
                marker="o" if curve.side == "Vesalius" else "s",
                linestyle=("-", "--", ":", "-.")[[c.side for c in curves[:number]].count(curve.side) % 4],
                label=curve.name,
            )
        axes.set(xscale="log", xlabel=f"{words}, minutes")
        marks = _marks([getattr(p, clock) / 60 for c in curves for p in c.points])
        axes.set_xticks(marks)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("mean Dice")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, dpi=130)
    print(f"\n{path}")


def _marks(minutes: Sequence[float]) -> list[float]:
    """Round numbers of minutes that span what is shown."""
    known = [0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000]
    return [m for m in known if min(minutes) / 2 <= m <= max(minutes) * 2]


def _time(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "–"
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
