"""What a study is: a task of the field done from public data in their official form, end to end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vesalius import __version__
from vesalius.plan import Budget
from vesalius.report import Section, story_html
from vesalius.train import Status


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
