"""What a study is: a task of the field done from public data in their official form, end to end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vesalius import __version__
from vesalius.bundle import Bundle, Card
from vesalius.image import Dataset
from vesalius.plan import Budget, Plan
from vesalius.report import Section, story_html
from vesalius.train import Status, fit


@dataclass(frozen=True)
class Setting:
    """What a study may use, and how it is begun.

    Args:
        budget_s: For all trainings together, from start to finished bundles.
        steps: Of each training, however long they take, in place of the time: then the result repeats.
        device: Where to compute.
        seed: Of everything random.
        trained: The results of an earlier run: its segmenters are used, and nothing is trained. What is studied then
            are new cases, which need no references.
        resume: Go on with a run that was cut off, in the same folder.
        on_status: Told how the trainings go.
        note: Told, in a sentence, what is done now.
    """

    budget_s: float = 1800.0
    steps: int | None = None
    device: str = "auto"
    seed: int = 0
    trained: Path | None = None
    resume: bool = False
    on_status: Callable[[Status], None] | None = None
    note: Callable[[str], None] = lambda _: None

    def budget(self, share: float = 1.0) -> Budget:
        """Of one training.

        Args:
            share: Of the time, 0 to 1; steps are not shared.

        Example:
            >>> Setting(budget_s=60).budget(0.5).time_s, Setting(steps=7).budget(0.5).steps
            (30.0, 7)
        """
        if self.steps is not None:
            return Budget(time_s=None, steps=self.steps, device=self.device)
        return Budget(time_s=self.budget_s * share, device=self.device)


@dataclass(frozen=True)
class Outcome:
    """What a study found.

    Args:
        report: The HTML page.
        scores: Figures on cases that were never learnt from, by name; empty where there is no reference.
        repairs: What was amiss in the data and put right, and what was left out, one sentence each.
    """

    report: Path
    scores: Mapping[str, float]
    repairs: tuple[str, ...] = ()


class Study(Protocol):
    """What the module of a study offers."""

    TITLE: str
    """Of its report."""
    DATA: str
    """Which public data it reads, and in which form."""

    def run(self, data: Path, out: Path, setting: Setting) -> Outcome:
        """Check the data, fit, segment, evaluate by the set's own rules and write the report into ``out``."""

    def write_sample(self, folder: Path, *, seed: int = 0) -> None:
        """Write a small synthetic data set with plausible anatomy, in exactly the official layout."""


def fit_within(
    setting: Setting,
    dataset: Dataset,
    plan: Plan,
    out: Path,
    *,
    card: Card,
    validation: Sequence[str] | None = None,
    spent_s: float = 0.0,
) -> Bundle:
    """Train one segmenter of a study: `vesalius.train.fit` as the setting asks.

    Args:
        setting: Device, seed, whether to go on with a run, who is told.
        dataset: What is learnt from.
        plan: How.
        out: The bundle's folder.
        card: Words for its card.
        validation: Cases to hold out; the plan's share when left out.
        spent_s: Seconds of the budget that are gone already.

    Returns:
        The bundle.

    Raises:
        VesaliusError: As `vesalius.train.fit`.
    """
    return fit(
        dataset,
        plan,
        out,
        device=setting.device,
        seed=setting.seed,
        validation=validation,
        card=card,
        resume=setting.resume,
        spent_s=spent_s,
        on_status=setting.on_status,
    )


def write_study(
    out: Path,
    *,
    title: str,
    data: str,
    lead: str,
    sections: Sequence[Section],
    scores: Mapping[str, float],
    repairs: Sequence[str] = (),
    provenance: Mapping[str, str] | None = None,
) -> Outcome:
    """Write a study's report, ``report.html``.

    Args:
        out: Folder of the results.
        title: Of the study.
        data: Which public data it reads.
        lead: A sentence below the title.
        sections: Of the page, in order.
        scores: Figures on cases that were never learnt from, by name.
        repairs: What was amiss in the data, one sentence each.
        provenance: Further lines of the colophon.

    Returns:
        What the study found.

    Raises:
        VesaliusError: The report cannot be written.
    """
    amiss = [Section("What was amiss in the data", list(repairs))] if repairs else []
    page = out / "report.html"
    story_html(
        [*sections, *amiss],
        page,
        title=title,
        lead=lead,
        provenance={"data": data, **(provenance or {}), "made by": f"vesalius {__version__}"},
    )
    return Outcome(page, dict(scores), tuple(repairs))
