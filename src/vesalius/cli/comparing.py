"""What several methods scored: compared, written, printed."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vesalius.cli.pairs import Trial
    from vesalius.metrics import Scores, Summary
    from vesalius.metrics.calibration import Calibration
    from vesalius.metrics.comparison import Comparison

_HEADLINE = ("dice", "surface_dice", "hd95", "assd")


def tell(
    args: argparse.Namespace,
    methods: Mapping[str, Path],
    references: Path,
    trials: Sequence[Trial],
    scores: Mapping[str, list[Scores]],
    calibrations: Mapping[str, Calibration],
    metrics: Sequence[str],
    failed: Sequence[str],
) -> None:
    """Compare methods by each metric that says what is good, write the files, and print.

    Args:
        args: Of the verb.
        methods: Where the predictions of each are.
        references: Where the references are.
        trials: The cases.
        scores: Of each method.
        calibrations: Of each method that has one.
        metrics: Those that were scored.
        failed: Words about what could not be scored.
    """
    from vesalius.metrics import summarise

    summaries = {name: summarise(rows) for name, rows in scores.items()}
    comparisons = _comparisons(args, scores, metrics)
    content: dict[str, Any] = {
        "methods": {
            name: {"summary": summaries[name].to_dict(), "cases": [one.to_dict() for one in rows]}
            for name, rows in scores.items()
        },
        "missing": args.missing,
        "comparisons": [one.to_dict() for one in comparisons],
        "failed": list(failed),
    }
    if calibrations:
        content["calibration"] = {name: one.to_dict() for name, one in calibrations.items()}
    if args.output:
        _write(args, methods, references, trials, scores, summaries, comparisons, calibrations, content)
    if args.json:
        print(json.dumps(content, allow_nan=False))
    else:
        _print(comparisons)
        for name, calibration in calibrations.items():
            print(f"{name}: {in_words(calibration)}")
        if args.output:
            print(f"report: {Path(args.output) / 'report.html'}")


def _comparisons(
    args: argparse.Namespace, scores: Mapping[str, list[Scores]], metrics: Sequence[str]
) -> list[Comparison]:
    """Of the mean over targets by every metric, then of each target by the headline: there may be a hundred targets."""
    from vesalius.errors import DataError
    from vesalius.metrics import METRICS
    from vesalius.metrics.comparison import compare
    from vesalius.metrics.paired import common_targets, paired_table

    targets = common_targets(scores)
    if not targets:
        raise DataError("the methods have no target in common: were they trained on the same labels?")
    scored = {name for rows in scores.values() for one in rows for row in one.values.values() for name in row}
    ranked = [name for name in metrics if name in scored and METRICS[name].better != "neither"]
    if not ranked:
        raise DataError(f"to compare methods give a metric that says what is good; {', '.join(metrics)} only describe")
    found: list[Comparison] = []
    unfit = None
    main = "" if len(targets) > 1 else targets[0]
    headline = [name for name in _HEADLINE if name in ranked] or ranked[:1]
    for target in dict.fromkeys([main, *targets]):
        for name in ranked if target == main else headline:
            try:
                paired_table(scores, name, target=target, missing=args.missing)
            except DataError as error:
                unfit = error  # a metric without a meaning on any of these cases says nothing of the others
                continue
            found.append(
                compare(scores, name, target=target, missing=args.missing, alpha=args.alpha, stability=target == main)
            )
    if not found and unfit is not None:
        raise unfit
    return found


def _write(
    args: argparse.Namespace,
    methods: Mapping[str, Path],
    references: Path,
    trials: Sequence[Trial],
    scores: Mapping[str, list[Scores]],
    summaries: Mapping[str, Summary],
    comparisons: Sequence[Comparison],
    calibrations: Mapping[str, Calibration],
    content: dict[str, Any],
) -> None:
    from vesalius import __version__
    from vesalius.io.atomic import make_folder, write_text
    from vesalius.report import write_scores_csv
    from vesalius.report.contest import contest_html

    out = make_folder(args.output)
    provenance = {name: f"predictions in {path.name}" for name, path in methods.items()}
    provenance |= {"references": references.name, "made by": f"vesalius {__version__}"}
    for name, file in _file_names(methods).items():
        write_scores_csv(scores[name], out / f"{file}.csv")
    text = json.dumps({"provenance": provenance, **content}, indent=1, ensure_ascii=False, allow_nan=False)
    write_text(out / "comparison.json", text + "\n")
    first = trials[0]
    calibrated = first.image().meta.calibrated if first.image is not None else first.reference().grid.ndim == 3
    contest_html(
        scores,
        summaries,
        comparisons,
        out / "report.html",
        provenance=provenance,
        calibrations=calibrations,
        missing=args.missing,
        calibrated=calibrated,
        title=args.title or "Comparison",
    )


def _file_names(methods: Mapping[str, Path]) -> dict[str, str]:
    """A file name for each method; different ones for different methods, on any file system."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in methods:
        plain = re.sub(r"[^\w.-]+", "_", name).strip(".") or "method"
        file, number = f"scores-{plain}", 2
        while file.casefold() in taken:
            file, number = f"scores-{plain}-{number}", number + 1
        taken.add(file.casefold())
        found[name] = file
    return found


def _print(comparisons: Sequence[Comparison]) -> None:
    """A line a method: means on the cases that are compared, with the place by each metric."""
    from rich.console import Console
    from rich.table import Table

    target = comparisons[0].table.target
    mine = {one.table.metric: one for one in comparisons if one.table.target == target}
    shown = [name for name in _HEADLINE if name in mine] or list(mine)
    leading = mine[shown[0]]
    table = Table("method", "cases", *shown, "first in", box=None, pad_edge=False)
    for n, name in enumerate(leading.table.methods):
        cells = [
            f"{mine[metric].table.values[n].mean():.3f} ({mine[metric].rankings['mean_then_rank'].ranks[n]})"
            for metric in shown
        ]
        filled = len(leading.table.filled[name])
        cases = f"{len(leading.table.cases) - filled}" + (f" + {filled} missing" if filled else "")
        table.add_row(name, cases, *cells, f"{leading.stability['mean_then_rank'].frequency[n, 0]:.0%}")
    console = Console(highlight=False, markup=False)
    what = target or "mean of targets"
    console.print(table)
    console.print(f"{what}: means (places); how often first by {shown[0]} when cases are drawn anew", soft_wrap=True)
    for words in differences_in_words(leading):
        console.print(words, soft_wrap=True)


def in_words(calibration: Calibration) -> str:
    """A line about the calibration."""
    return (
        f"expected calibration error {calibration.expected_error:.4f}, Brier score {calibration.brier:.4f}, negative "
        f"log likelihood {calibration.negative_log_likelihood:.4f} (boxes of the labels, {calibration.voxels:,} "
        "voxels)"
    )


def differences_in_words(one: Comparison) -> list[str]:
    """A line for each pair of methods: who is better, by how much, and whether the cases can tell."""
    lines = []
    for pair in one.differences:
        best, other, size = pair.first, pair.second, pair.mean
        if (size > 0) != (one.table.better == "higher"):
            best, other = other, best
        told = "significant" if pair.p_holm < one.alpha else "not significant"
        low, high = sorted((abs(pair.low), abs(pair.high))) if pair.low * pair.high > 0 else (pair.low, pair.high)
        lines.append(
            f"{one.table.metric}: {best} before {other} by {abs(size):.4g} ({low:.4g} … {high:.4g}), "
            f"p = {pair.p_holm:.2g} after Holm, {told}"
        )
    return lines
