"""What quantisation costs: Dice on real cases, of whole label maps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from statistics import fmean

import torch
from torch import Tensor, nn

from vesalius.export.report import Loss
from vesalius.image import Case, Dataset, LabelMap
from vesalius.metrics import Scores, evaluate
from vesalius.predict import Segmenter, segment
from vesalius.predict.backends import Run
from vesalius.train.score import score

CALIBRATED, MEASURED = 8, 8
"""Cases that int8 is calibrated on, and others on which the loss is measured, at most."""


def split(cases: Dataset) -> tuple[Dataset, Dataset]:
    """Cases to calibrate on, and others to measure on: every other one. A single case serves for both.

    Args:
        cases: At least one.
    """
    if len(cases) == 1:
        return cases, cases
    return cases.select(cases.ids[::2][:CALIBRATED]), cases.select(cases.ids[1::2][:MEASURED])


def loss_of(segmenter: Segmenter, runs: Mapping[str, Run], cases: Dataset) -> Loss:
    """What an artefact costs in Dice, on the label maps of whole cases.

    Mirroring and clean-up are left out: one takes eight times as long, the other hides what differs.

    Args:
        segmenter: The bundle, in single precision.
        runs: The artefact's parts, by folder.
        cases: Real ones, with references or without.
    """
    narrow = _with_runs(segmenter, runs, "")
    to_fp32: list[Scores] = []
    of_narrow: list[Scores] = []
    of_exact: list[Scores] = []
    for case in cases:
        exact, found = (segment(case.image, one, mirror=False, postprocess=False).labels for one in (segmenter, narrow))
        to_fp32.append(evaluate(found, exact, case=case.id, metrics=("dice",)))
        if case.reference is not None:
            of_narrow.append(_against(found, case))
            of_exact.append(_against(exact, case))
    return Loss(cases=cases.ids, dice_to_fp32=_means(to_fp32), dice=_means(of_narrow), dice_of_fp32=_means(of_exact))


def _against(found: LabelMap, case: Case) -> Scores:
    """The Dice against the reference, of the labels that it knows, by the names that the bundle gives them."""
    assert case.reference is not None
    theirs = case.reference.labels
    places = theirs.places_in(found.labels)
    scores = score(found, case.reference, case=case.id).values
    known = {found.labels.names[places[one.value]]: scores[one.name] for one in theirs.labels if one.value in places}
    return Scores(case.id, known)


class _Running(nn.Module):
    """An artefact in its own runtime, in the place of a network."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run
        self.nowhere = nn.Parameter(torch.empty(0))  # a network has a device

    def forward(self, windows: Tensor) -> Tensor:
        return self.run(windows.contiguous())


def _with_runs(segmenter: Segmenter, runs: Mapping[str, Run], part: str) -> Segmenter:
    """The segmenter with the artefact's parts in the place of its networks."""
    prefix = f"{part}/" if part else ""
    coarse = segmenter.coarse
    return replace(
        segmenter,
        members=(0,),
        networks=(_Running(runs[part]),),
        coarse=None if coarse is None else _with_runs(coarse, runs, f"{prefix}coarse"),
        partners=tuple(
            _with_runs(partner, runs, f"{prefix}partner-{number}")
            for number, partner in enumerate(segmenter.partners, start=1)
        ),
    )


def _means(scores: list[Scores]) -> dict[str, float]:
    """The mean Dice of each label, over the cases in which it has one."""
    found: dict[str, list[float]] = {}
    for one in scores:
        for name, values in one.values.items():
            if not math.isnan(values["dice"]):
                found.setdefault(name, []).append(values["dice"])
    return {name: round(fmean(values), 6) for name, values in found.items()}
