"""A bundle as a folder for another runtime: written, checked and described, or not there at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vesalius.bundle import Bundle
from vesalius.bundle.lineage import lineage_from
from vesalius.errors import DataError, PlanError
from vesalius.export.describe import DESCRIPTION, FORMAT, VERSION, describe, versions
from vesalius.export.graph import averaged, mirrored
from vesalius.export.parity import check, compare, enlarged, noise, windows_of
from vesalius.export.quantise import loss_of, split
from vesalius.export.report import ExportReport, Loss, Parity
from vesalius.export.targets import Artefact, Model, Precision, Target, find_target
from vesalius.image import Dataset, Volume
from vesalius.io.atomic import atomic_folder, make_folder, write_text
from vesalius.plan import prepare
from vesalius.predict import Segmenter, coarse_classes, load_segmenter, with_coarse
from vesalius.predict.backends import Run, find_backend
from vesalius.predict.views import planned_views

ACCEPTED_LOSS = 0.01
"""Loss of Dice, of the label that loses most, above which a quantised artefact is refused."""


def export(
    bundle: Bundle | Path | str,
    target: str,
    out: Path | str,
    *,
    case: Volume | None = None,
    precision: Precision = "fp32",
    cases: Dataset | None = None,
    accepted_loss: float = ACCEPTED_LOSS,
    runtime: Path | str | None = None,
) -> ExportReport:
    """Write a bundle for another runtime.

    The networks of a bundle's members become one network that averages them. A coarse stage and partners become
    networks of their own, in folders beside it; the description says how they go together.

    Before the folder appears, what was written is run in its own runtime on windows of a case, and must say what the
    bundle says; see `vesalius.export.parity.TOLERANCES`. Where that fails nothing is left behind.

    Args:
        bundle: A bundle, the path of one, or the name of a built-in one.
        target: One of `TARGETS`.
        out: The folder to write; nothing may stand there.
        case: An image with the bundle's channels, on which the check is made. Drawn noise when left out, and the
            first of ``cases`` where there are some.
        precision: What the weights are stored and computed in.
        cases: Real cases to calibrate ``"int8"`` with, and to measure what quantisation costs; with references if
            there are any.
        accepted_loss: Loss of Dice (of the label that loses most) above which a quantised artefact is refused.
        runtime: Where the runtime's own files are, for ``"browser"``: the folder in which `npm pack` or `npm install`
            was run; the current one when left out.

    Returns:
        What was written, and the figures of the check; the same stands in ``vesalius.json``.

    Raises:
        BundleError: The bundle cannot be read.
        PlanError: The target is unknown or cannot take the bundle or a runtime, the precision is none of its own, what
            it wrote does not say what the bundle says, or quantisation costs more than is accepted.
        DataError: ``"int8"`` without cases.
        MissingDependencyError: The target needs a package that is not installed.
        VesaliusError: The folder cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     report = export("hippocampus", "torchscript", Path(folder) / "hippocampus")
        ...     sorted(report.files), report.parity[""].label_agreement
        (['model.pt'], 1.0)
    """
    whole = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    writer = find_target(target)
    _check(whole, target, writer, precision, cases)
    if runtime is not None and target != "browser":
        raise PlanError(f"{target} puts no runtime beside the network: leave runtime out (--runtime)")
    segmenter = load_segmenter(whole, device="cpu", backend="torch-float32")
    calibrated, measured = (None, None) if not cases else split(cases)
    image = cases[0].image if case is None and cases else case
    source = "noise" if image is None else "a case"
    with atomic_folder(out) as folder:
        artefacts: dict[str, Artefact] = {}
        runs: dict[str, Run] = {}
        parities: dict[str, Parity] = {}
        for part, one in parts_of(segmenter):
            windows = noise(one.bundle.plan) if image is None else case_windows(image, one)
            model = Model(
                bundle=one.bundle,
                network=averaged(one.networks),
                windows=torch.cat((windows + windows)[:2]),
                precision=precision,
                calibration=_calibration(calibrated, one) if precision == "int8" else (),
                runtime=None if runtime is None else Path(runtime),
            )
            artefacts[part] = writer.write(model, make_folder(folder / part))
            runs[part] = writer.load(artefacts[part].path)
            parities[part] = _parity(model, artefacts[part], runs[part], windows, source)
        loss = None if precision == "fp32" or measured is None else loss_of(segmenter, runs, measured)
        _check_loss(loss, accepted_loss)
        report = ExportReport(
            target=target,
            folder=Path(out),
            precision=precision,
            files=_checksums(folder),
            runtime=f"{writer.RUNTIME} {versions(writer.RUNTIME)[writer.RUNTIME]}",
            parity=parities,
            loss=loss,
            notes=tuple(dict.fromkeys(note for artefact in artefacts.values() for note in artefact.notes)),
        )
        _describe(folder, segmenter, artefacts, report, writer)
    return report


def parts_of(segmenter: Segmenter, inside: str = "") -> Iterator[tuple[str, Segmenter]]:
    """A segmenter and those inside it, by the folders that they are written to; its own is ``""``."""
    yield inside, segmenter
    prefix = f"{inside}/" if inside else ""
    if segmenter.coarse is not None:
        yield from parts_of(segmenter.coarse, f"{prefix}coarse")
    for number, partner in enumerate(segmenter.partners, start=1):
        yield from parts_of(partner, f"{prefix}partner-{number}")


def case_windows(image: Volume, segmenter: Segmenter) -> list[Tensor]:
    """Windows of an image as a segmenter's network sees it; a coarse stage goes first.

    Raises:
        DataError, GeometryError: The image does not suit the bundle.
    """
    plan = segmenter.bundle.plan
    prepared = prepare(image, plan)
    if segmenter.coarse is not None:
        prepared = with_coarse(prepared, coarse_classes(image, segmenter.coarse, prepared.grid), plan)
    return windows_of(torch.from_numpy(np.require(prepared.array, requirements="W")), plan)


def _parity(model: Model, artefact: Artefact, run: Run, windows: list[Tensor], source: str) -> Parity:
    """Compare an artefact with its network: on the windows, and on one of every size that it is said to take.

    Raises:
        PlanError: It does not say the same.
    """
    plan = model.bundle.plan
    network = mirrored(model.network, planned_views(plan)) if artefact.mirrored else model.network
    reference = find_backend("torch-float32").load([network], tuple(windows[0].shape))
    larger = enlarged(windows[0], artefact.free_axes)
    try:
        found = compare(reference, run, [larger], source=source, regions=plan.regions)
    except Exception as error:  # runtimes have errors of their own
        reason = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}"
        size = tuple(larger.shape)
        raise PlanError(f"the artefact does not take windows of the size {size}, and should ({reason})") from error
    check(found, model.precision)
    found = compare(reference, run, windows, source=source, regions=plan.regions)
    check(found, model.precision)
    return found


def _calibration(cases: Dataset | None, segmenter: Segmenter) -> tuple[Tensor, ...]:
    return tuple(window for case in cases or () for window in case_windows(case.image, segmenter))


def _check(whole: Bundle, name: str, writer: Target, precision: Precision, cases: Dataset | None) -> None:
    """Refuse what cannot be before anything is computed."""
    if precision not in writer.PRECISIONS:
        raise PlanError(f"{name} is written in {' or '.join(writer.PRECISIONS)}, not in {precision}")
    if precision == "int8" and not cases:
        raise DataError("int8 must be calibrated on real cases: name a folder of them (--calibrate)")
    for bundle in (whole, *_inside(whole)):
        if (why := writer.refuses(bundle)) is not None:
            raise PlanError(f"{name} cannot take this bundle: {why}")


def _inside(bundle: Bundle) -> Iterator[Bundle]:
    for inner in (bundle.coarse, *bundle.partners):
        if inner is not None:
            yield inner
            yield from _inside(inner)


def _check_loss(loss: Loss | None, accepted: float) -> None:
    if loss is not None and loss.largest > accepted:
        against = "against the references" if loss.dice else "against the label maps in single precision"
        raise PlanError(
            f"quantisation costs {loss.largest:.4f} of Dice {against}, measured on {len(loss.cases)} cases, and "
            f"{accepted:g} is accepted (--accept-loss); nothing was written"
        )


def _checksums(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            found[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _describe(
    folder: Path, segmenter: Segmenter, artefacts: dict[str, Artefact], report: ExportReport, writer: Target
) -> None:
    told = report.to_dict()
    parts = dict(parts_of(segmenter))
    text: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "target": report.target,
        "precision": report.precision,
        "artefact": artefacts[""].path.relative_to(folder).as_posix(),
        **describe(parts[""].bundle, artefacts[""]),
        "parts": {
            part: {
                "artefact": artefacts[part].path.relative_to(folder).as_posix(),
                "role": _role(part),
                **describe(parts[part].bundle, artefacts[part]),
            }
            for part in parts
            if part
        },
        "files": told["files"],
        "check": {name: told[name] for name in ("runtime", "parity", "loss")},
        "notes": told["notes"],
        "versions": versions(writer.RUNTIME),
        "provenance": lineage_from(segmenter.bundle),
    }
    write_text(folder / DESCRIPTION, json.dumps(text, indent=2, ensure_ascii=False) + "\n")


def _role(part: str) -> str:
    if part.rpartition("/")[2] == "coarse":
        return "its label map is the input of the part that it lies in: a channel of 0 and 1 for each label"
    return "its probabilities are averaged with those of the whole, on the image's own grid, before it is decided"
