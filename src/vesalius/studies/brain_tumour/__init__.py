"""Brain tumours in MR: BraTS in its official forms, from a check of every case to a report of what was found."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vesalius.bundle import Bundle, Card
from vesalius.errors import BundleError, DataError, VesaliusError
from vesalius.image import Case, LabelMap
from vesalius.io import write
from vesalius.io.atomic import make_folder, write_text
from vesalius.io.layouts import brats
from vesalius.metrics import Scores
from vesalius.metrics.brats import brats_scores
from vesalius.metrics.platt import Platt
from vesalius.plan import Plan, with_settings
from vesalius.predict import Segmenter, load_segmenter, segment
from vesalius.report import Section, overlay, write_scores_csv
from vesalius.report.tables import write_rows
from vesalius.studies.brain_tumour.checks import Signature
from vesalius.studies.brain_tumour.cohort import Cohort, open_cohort, read_incomplete, with_stand_ins
from vesalius.studies.brain_tumour.finding import (
    COMPARTMENTS,
    Evidence,
    Finding,
    evidence_of,
    find,
    fit_presence,
    probabilities_unseen,
)
from vesalius.studies.brain_tumour.sample import write_brats
from vesalius.studies.brain_tumour.standing import stand_in
from vesalius.studies.brain_tumour.telling import case_table, finding_table, presence_section, score_section
from vesalius.studies.holdout import train
from vesalius.studies.study import Outcome, Setting, write_study

TITLE = "Brain tumours in MR"
DATA = (
    "BraTS: T1, T1 with contrast agent, T2 and FLAIR, stripped of the skull; 2013 to 2015, 2017 to 2021, 2023 and later"
)

_DROPOUT = "augmentation.channel_dropout_p=0.1"
_SHORT_S = 3600.0  # with less time for a network it is better to see more of the brain than to see it finely
_SHORT_MM = 2.0
_BUNDLE = Path("bundles") / "tumour"
_REGISTERED = "registered"  # sequences that had to be moved
_KEPT = "brain-tumour.json"
_PICTURES = 12  # of cases; a page of hundreds helps nobody
_SHOWN_CHANNELS = ("FLAIR", "T1CE")


@dataclass(frozen=True, eq=False)
class _Seen:
    """A case that was segmented by a network that had not learnt from it."""

    finding: Finding
    scores: Scores | None
    picture: NDArray[np.uint8] | None


def run(data: Path, out: Path, setting: Setting) -> Outcome:
    """Check the cases, train, segment those that were held out, score them as BraTS does, say what each patient has."""
    cases, strangers = brats.find_cases(data)
    if not cases:
        raise DataError(f"{data.name}: no case of BraTS; the study looks for {brats.LOOKS_FOR}")
    set_aside = (f"{len(strangers)} other images were not looked at, such as {strangers[0].id}",) if strangers else ()
    if setting.trained is not None:
        return _apply(cases, set_aside, setting.trained, out, setting)
    setting.note("reading and checking the cases")
    cohort = open_cohort(cases, brats.usual_modalities(cases), place=out / _REGISTERED, note=setting.note)
    cohort = replace(cohort, repairs=(*cohort.repairs, *set_aside))
    dataset = cohort.dataset.with_reference()
    trained = train(with_stand_ins(dataset), out / _BUNDLE, setting, card=_card(cohort), amend=_amended)
    seen: list[_Seen] = []
    evidence: list[Evidence] = []
    for segmenter, unseen in trained.segmenters(device=setting.device):
        held_out = dataset.select([case for case in unseen if case in dataset.ids])
        setting.note(f"segmenting {len(held_out)} held-out cases")
        for case in held_out:
            seen.append(_look(case, segmenter, dataset.channels, out, shown=len(seen) < _PICTURES))
            evidence += _evidence(case, seen[-1].finding, segmenter)
    others = list(_without_a_sequence(cohort, load_segmenter(out / _BUNDLE, device=setting.device), out))
    presence = fit_presence(evidence)
    _keep(out, presence, cohort)
    seen, others = ([_with_probability(one, presence) for one in some] for some in (seen, others))
    return _report(out, cohort, seen, others, evidence, Bundle.load(out / _BUNDLE))


def write_sample(folder: Path, *, seed: int = 0) -> None:
    """Write ten synthetic brains with tumours in the form of BraTS 2020."""
    write_brats(folder, seed=seed)


def _apply(
    cases: Sequence[brats.BratsCase], set_aside: tuple[str, ...], earlier: Path, out: Path, setting: Setting
) -> Outcome:
    """Use the segmenter of an earlier run on new cases, with whatever sequences they have."""
    segmenter = load_segmenter(earlier / _BUNDLE, device=setting.device)
    presence, usual = _kept(earlier)
    plan = segmenter.bundle.plan
    cohort = open_cohort(
        cases, plan.channels, place=out / _REGISTERED, labels=plan.labels, usual=usual, note=setting.note
    )
    cohort = replace(cohort, repairs=(*cohort.repairs, *set_aside))
    seen = [
        _look(case, segmenter, plan.channels, out, shown=number < _PICTURES)
        for number, case in enumerate(cohort.dataset)
    ]
    seen += _without_a_sequence(cohort, segmenter, out)
    seen = [_with_probability(one, presence) for one in seen]
    return _report(out, cohort, seen, [], [], segmenter.bundle)


def _amended(plan: Plan) -> Plan:
    """So that a patient whose FLAIR was not taken can be segmented all the same, and little time is spent well.

    Source: two cases of BraTS 2013, learnt from for 200 steps at 2 mm, give a whole-tumour Dice of 0.90 on the third;
    docs/how-to/study-brain-tumour.md.
    """
    settings = [_DROPOUT] if len(plan.channels) > 1 else []
    time_s = plan.budget.time_s
    if time_s is not None and time_s < _SHORT_S and min(plan.spacing_mm) < _SHORT_MM:
        settings.append("spacing_mm=" + ",".join(f"{max(_SHORT_MM, mm):g}" for mm in plan.spacing_mm))
    return with_settings(plan, settings)


def _look(case: Case, segmenter: Segmenter, channels: tuple[str, ...], out: Path, *, shown: bool) -> _Seen:
    some = None if channels == segmenter.bundle.plan.channels else channels
    prediction = segment(case.image, segmenter, channels=some, probabilities=True)
    write(prediction.labels, make_folder(out / "segmentations") / f"{case.id}.nii.gz")
    finding = find(case.id, case.image, prediction, channels)
    scores = None if case.reference is None else brats_scores(prediction.labels, case.reference, case=case.id)
    return _Seen(finding, scores, _picture(case, prediction.labels, channels) if shown else None)


def _picture(case: Case, labels: LabelMap, channels: tuple[str, ...]) -> NDArray[np.uint8]:
    name = next((name for name in _SHOWN_CHANNELS if name in channels), channels[0])
    return overlay(case.image, labels, case.reference, channel=channels.index(name), title=f"{case.id}, {name}")


def _evidence(case: Case, finding: Finding, segmenter: Segmenter) -> Iterator[Evidence]:
    assert case.reference is not None
    yield Evidence(case.id, finding.evidence, bool((case.reference.array != 0).any()))
    half = stand_in(case.image, case.reference)
    if half is not None:
        yield Evidence(case.id, evidence_of(segment(half, segmenter, probabilities=True)), False)


def _without_a_sequence(cohort: Cohort, segmenter: Segmenter, out: Path) -> Iterator[_Seen]:
    """The cases that lack a sequence, segmented with what there is; nothing has learnt from them."""
    for case in cohort.incomplete:
        try:
            read, there = read_incomplete(case, segmenter.bundle.plan.channels, cohort.dataset)
        except VesaliusError:
            continue  # the reading of its files was said to be amiss
        yield _look(read, segmenter, there, out, shown=True)


def _with_probability(seen: _Seen, presence: Platt | None) -> _Seen:
    if presence is None:
        return seen
    return replace(seen, finding=replace(seen.finding, probability=presence(seen.finding.evidence)))


def _keep(out: Path, presence: Platt | None, cohort: Cohort) -> None:
    kept = {
        "presence": None if presence is None else [presence.slope, presence.intercept],
        "usual": None if cohort.usual is None else cohort.usual.to_dict(),
    }
    write_text(out / _KEPT, json.dumps(kept) + "\n")


def _kept(earlier: Path) -> tuple[Platt | None, Signature | None]:
    try:
        kept = json.loads((earlier / _KEPT).read_text(encoding="utf-8"))
        presence = None if kept["presence"] is None else Platt(*map(float, kept["presence"]))
        return presence, None if kept["usual"] is None else Signature.of_dict(kept["usual"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(
            f"{earlier.name}: not the results of this study: {_KEPT} is missing or damaged ({type(error).__name__})"
        ) from None


def _card(cohort: Cohort) -> Card:
    return Card(
        name="brain-tumour",
        description=f"whole tumour, core and enhancing tumour in {', '.join(cohort.dataset.channels)} of the brain",
        data=DATA,
        limits="Glioma before treatment, brains stripped of the skull and registered. For research use only; not a "
        "medical device.",
    )


def _report(
    out: Path, cohort: Cohort, seen: list[_Seen], others: list[_Seen], evidence: list[Evidence], bundle: Bundle
) -> Outcome:
    scores = [one.scores for one in seen if one.scores is not None]
    findings = [one.finding for one in (*seen, *others)]
    write_rows(finding_table(findings, plain=True), out / "findings.csv")
    sections: list[Section] = []
    figures: dict[str, float] = {}
    if scores:
        write_scores_csv(scores, out / "scores.csv")
        section, figures = score_section(scores)
        sections += [section, Section("Each case", table=case_table(scores))]
    sections.append(
        Section(
            "What each patient has",
            [
                "Volumes in ml of the compartments. Where it lies is told by quarters of the brain: lobes would take "
                "a map that may be passed on, and none is at hand. The shift of the midline is that of the "
                "curve along which both sides mirror each other best against the plane that halves the brain, "
                "positive to the left; it cannot be told where a tumour lies across the middle."
            ],
            finding_table(findings),
        )
    )
    if evidence:
        section, brier = presence_section(probabilities_unseen(evidence), len(evidence))
        sections.append(section)
        figures |= {"Brier score of tumour or none": brier} if np.isfinite(brier) else {}
    alone = [one.scores for one in others if one.scores is not None]
    if alone:
        texts = ["Not learnt from, and segmented with the sequences that there are."]
        sections.append(Section("Cases without a sequence", texts, case_table(alone)))
    shots = {one.finding.case: one.picture for one in (*seen, *others) if one.picture is not None}
    sections.append(Section("Pictures", ["Filled: what was said. Contour: the reference."], (), shots))
    learnt = bundle.provenance.get("training_cases", 0)
    return write_study(
        out,
        title=TITLE,
        data=DATA,
        lead=f"{len(seen) + len(others)} cases that the networks had not seen; {bundle.card.recipe}.",
        sections=sections,
        scores=figures,
        repairs=cohort.repairs,
        provenance={
            "segmenter": f"{bundle.card.name}, trained on {learnt} cases",
            "compartments": ", ".join(COMPARTMENTS),
        },
    )
