"""What was done to a file to protect the patient, and what nobody could be sure of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Findings:
    """What a step of the de-identification did and what it doubts; in sentences that name places, never values.

    Args:
        actions: What was changed or removed, for example ``"removed the EXIF data"``.
        doubts: Why a person has to look at the file; it goes to the quarantine as soon as there is one.

    Example:
        >>> found = Findings(actions=("removed the EXIF data",)) + Findings(doubts=("two pictures in one file",))
        >>> found.actions, found.sure
        (('removed the EXIF data',), False)
    """

    actions: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def sure(self) -> bool:
        """Whether nothing is left that a person has to look at."""
        return not self.doubts

    def __add__(self, other: Findings) -> Findings:
        """What two steps on the same file found, each sentence once."""
        return joined((self, other))


def joined(findings: Iterable[Findings]) -> Findings:
    """Put together what several steps found; a sentence that several of them say is kept once, where it came first.

    Example:
        >>> joined([Findings(("removed the comment",)), Findings(("removed the comment",), ("no grid",))])
        Findings(actions=('removed the comment',), doubts=('no grid',))
    """
    every = tuple(findings)
    return Findings(
        tuple(dict.fromkeys(sentence for one in every for sentence in one.actions)),
        tuple(dict.fromkeys(sentence for one in every for sentence in one.doubts)),
    )
