"""``vesalius evaluate PREDICTIONS REFERENCES -o REPORT``: score, tabulate, picture."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vesalius.cli.progress import counting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vesalius.image import LabelMap, Labels, Volume
    from vesalius.metrics import Scores, Summary

HELP = "score predictions against references: table, JSON, CSV and an HTML report that stands alone"

_PICTURED = 12  # worst cases that get a picture


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius evaluate``."""
    parser.add_argument(
        "predictions", metavar="PREDICTIONS", help="a label file, or a folder of them named like the cases"
    )
    parser.add_argument("references", metavar="REFERENCES", help="a label file, a folder of them, or a data set")
    parser.add_argument("-o", "--output", metavar="REPORT", help="folder for report.html, scores.csv and scores.json")
    parser.add_argument("--metrics", help="comma-separated (all)")
    parser.add_argument("--tolerance", type=float, default=1.0, metavar="MM", help="of the surface Dice, mm (1)")
    parser.add_argument("--layout", default="auto", help="how REFERENCES is arranged, see `vesalius index` (auto)")
    parser.add_argument("--reference", metavar="NAME", help="which references, where a data set has several")
    parser.add_argument("--title", default="Evaluation", help="heading of the report")


@dataclass(frozen=True)
class _Pair:
    name: str
    prediction: Path
    reference: Callable[[], LabelMap]
    image: Callable[[], Volume] | None
    labels: Labels | None


def run(args: argparse.Namespace) -> int:
    """Score every pair; what has no partner or cannot be scored is said, and the exit code is 1."""
    from vesalius.errors import DataError, VesaliusError
    from vesalius.io import read_labels
    from vesalius.metrics import DEFAULT, evaluate, summarise

    pairs, lonely = _pairs(args)
    if not pairs:
        raise DataError("no prediction has a reference of the same name; " + "; ".join(lonely[:3]))
    metrics = tuple(name.strip() for name in args.metrics.split(",")) if args.metrics else DEFAULT
    scores: list[Scores] = []
    failed = list(lonely)
    with counting("scoring", shown=not args.json) as progress:
        for done, pair in enumerate(pairs, start=1):
            try:
                reference = pair.reference()
                prediction = read_labels(pair.prediction, pair.labels)
                prediction = _on_grid_of(prediction, reference, pair.name)
                found = evaluate(prediction, reference, case=pair.name, metrics=metrics, tolerance_mm=args.tolerance)
                scores.append(found)
            except VesaliusError as error:
                if len(pairs) == 1:
                    raise
                failed.append(f"{pair.name}: {error}")
            if progress is not None:
                progress(done, len(pairs))
    for words in failed:
        print(f"vesalius: {words}", file=sys.stderr)
    if not scores:
        raise DataError(f"none of the {len(pairs)} pairs could be scored: {'; '.join(failed[:3])}")
    summary = summarise(scores)
    if args.output:
        _write(args, pairs, scores, metrics)
    if args.json:
        rows = {"cases": [s.to_dict() for s in scores], "summary": summary.to_dict(), "failed": failed}
        print(json.dumps(rows))
    else:
        _print_table(summary, metrics)
        if args.output:
            print(f"report: {Path(args.output) / 'report.html'}")
    return 1 if failed else 0


def _pairs(args: argparse.Namespace) -> tuple[list[_Pair], list[str]]:
    """Predictions and references of one name, and words about those that stand alone."""
    from vesalius.errors import DataError
    from vesalius.io import read_labels
    from vesalius.io.layouts.files import stem

    for path in (args.predictions, args.references):
        if not Path(path).exists():
            raise DataError(f"{path}: there is no such file or folder")
    ours, theirs = Path(args.predictions), Path(args.references)
    if ours.is_file():
        if not theirs.is_file():
            raise DataError("one prediction needs one reference: give a file for both, or a folder for both")
        return [_Pair(stem(ours), ours, partial(read_labels, theirs), None, None)], []
    predictions = dict(_label_files(ours))
    references = {pair.name: pair for pair in _references(args, predictions)}
    lonely = [f"{name}: no prediction for this reference" for name in references if name not in predictions]
    lonely += [f"{name}: no reference for this prediction" for name in predictions if name not in references]
    return [pair for name, pair in references.items() if name in predictions], lonely


def _references(args: argparse.Namespace, predictions: dict[str, Path]) -> Iterator[_Pair]:
    from vesalius.errors import DataError
    from vesalius.io import read_labels
    from vesalius.io.layouts import index
    from vesalius.io.layouts.load import read_channels

    try:
        dataset = index(args.references, args.layout, reference=args.reference, check=False)
    except DataError:
        if args.layout != "auto" or args.reference:
            raise
        dataset = None  # no layout: a folder of label files
    if dataset is None or not any(record.reference for record in dataset.records):
        for name, path in _label_files(Path(args.references)):
            yield _Pair(name, predictions.get(name, path), partial(read_labels, path), None, None)
        return
    for record in dataset.records:
        if record.reference is not None:
            yield _Pair(
                record.id,
                predictions.get(record.id, record.reference),
                partial(read_labels, record.reference, dataset.labels, binarise_above=dataset.binarise_above),
                partial(read_channels, record.images),
                dataset.labels,
            )


def _label_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Label files below a folder, named by their place in it without the suffix."""
    from vesalius.io.layouts.files import find_images, stem

    for path in find_images(folder):
        name = path.relative_to(folder).with_name(stem(path)).as_posix()
        if not name.endswith("-probabilities"):
            yield name, path


def _on_grid_of(prediction: LabelMap, reference: LabelMap, name: str) -> LabelMap:
    """Give the prediction the reference's grid where both mean the same place; never move it."""
    import numpy as np

    from vesalius.errors import GeometryError
    from vesalius.image import LabelMap

    bare = reference.grid.ndim == 2 and any(
        np.array_equal(grid.affine, np.eye(3)) for grid in (prediction.grid, reference.grid)
    )
    same = prediction.grid.shape == reference.grid.shape
    if same and (bare or prediction.grid.is_close(reference.grid, tolerance_mm=0.1)):
        return LabelMap(prediction.array, reference.grid, prediction.labels)
    raise GeometryError(f"{name}: prediction and reference lie on different grids")


def _write(args: argparse.Namespace, pairs: Sequence[_Pair], scores: list[Scores], metrics: Sequence[str]) -> None:
    import numpy as np

    from vesalius import __version__
    from vesalius.io import read_labels
    from vesalius.io.atomic import make_folder
    from vesalius.report import evaluation_html, overlay, write_scores_csv, write_scores_json

    out = make_folder(args.output)
    provenance = {
        "predictions": Path(args.predictions).name,
        "references": Path(args.references).name,
        "made by": f"vesalius {__version__}",
    }
    write_scores_csv(scores, out / "scores.csv")
    write_scores_json(scores, out / "scores.json", provenance=provenance)
    leading = "dice" if "dice" in metrics else metrics[0]

    def mean(one: Scores) -> float:
        values = [row.get(leading, np.nan) for row in one.values.values()]
        return float(np.nanmean(values)) if not np.isnan(values).all() else 1.0

    by_name = {pair.name: pair for pair in pairs}
    pictures: dict[str, Any] = {}
    for one in sorted(scores, key=mean)[:_PICTURED]:
        pair = by_name[one.case]
        if pair.image is not None:
            reference = pair.reference()
            prediction = _on_grid_of(read_labels(pair.prediction, pair.labels), reference, pair.name)
            pictures[one.case] = overlay(pair.image(), prediction, reference)
    first = by_name[scores[0].case]
    calibrated = first.image().meta.calibrated if first.image is not None else first.reference().grid.ndim == 3
    headline = [name for name in ("dice", "surface_dice", "hd95", "assd") if name in metrics] or [metrics[0]]
    evaluation_html(
        scores,
        out / "report.html",
        pictures=pictures,
        provenance=provenance,
        labels=first.reference().labels,
        headline=headline,
        calibrated=calibrated,
        title=args.title,
    )


def _print_table(summary: Summary, metrics: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("target", "metric", "n", "mean", "95 % interval", "median", "worst", box=None, pad_edge=False)
    shown = [name for name in ("dice", "iou", "surface_dice", "hd95", "assd") if name in metrics] or list(metrics)
    rows = [*summary.values.items(), ("mean of targets", summary.foreground)]
    for target, found in rows if len(summary.values) > 1 else rows[:1]:
        for name in shown:
            if name in found:
                s = found[name]
                span = f"{s.low:.4g} … {s.high:.4g}"
                table.add_row(target, name, str(s.n), f"{s.mean:.4f}", span, f"{s.median:.4f}", ", ".join(s.worst[:2]))
    Console(highlight=False, markup=False).print(table)
