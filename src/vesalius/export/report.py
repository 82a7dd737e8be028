"""What an export wrote, and how well that says what the bundle says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vesalius.export.targets import Precision


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How far the artefact, in its own runtime, is from the bundle in PyTorch, both on the same windows.

    Args:
        windows: How many were compared.
        source: What they were cut from: the case's name, or drawn noise.
        max_difference: Largest difference of two logits.
        largest_logit: Largest logit of the bundle, as the measure of it.
        label_agreement: Share of the voxels with the same label.
    """

    windows: int
    source: str
    max_difference: float
    largest_logit: float
    label_agreement: float


@dataclass(frozen=True, kw_only=True)
class Loss:
    """What quantisation costs, on label maps of whole cases.

    Args:
        cases: On which it was measured, none of which was calibrated on (unless there was only one).
        dice_to_fp32: Mean Dice of the label maps against those of the artefact in single precision, by label.
        dice: Mean Dice against the references, by label; empty where there are none.
        dice_of_fp32: The same in single precision.
    """

    cases: tuple[str, ...]
    dice_to_fp32: Mapping[str, float]
    dice: Mapping[str, float] = field(default_factory=dict)
    dice_of_fp32: Mapping[str, float] = field(default_factory=dict)

    @property
    def largest(self) -> float:
        """Of all labels the largest loss of Dice: against the references, or without them against single precision.

        Example:
            >>> Loss(cases=("a",), dice_to_fp32={"liver": 0.99}).largest
            0.01
        """
        if self.dice:
            return round(max(self.dice_of_fp32[name] - dice for name, dice in self.dice.items()), 6)
        return round(1 - min(self.dice_to_fp32.values(), default=1.0), 6)


@dataclass(frozen=True, kw_only=True)
class ExportReport:
    """What `export` did.

    Args:
        target: What was written for.
        folder: Where it is.
        precision: Of what was written.
        files: SHA-256 of each file, by its path within the folder; the description itself is left out.
        runtime: What ran the check, with its version.
        parity: By part: ``""`` is the bundle itself, ``"coarse"`` its coarse stage, ``"partner-1"`` a partner.
        loss: What quantisation costs; None where nothing was quantised or no cases were given.
        notes: What a user must know, in sentences.
    """

    target: str
    folder: Path
    precision: Precision
    files: Mapping[str, str]
    runtime: str
    parity: Mapping[str, Parity]
    loss: Loss | None = None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain values, without the folder's path."""
        found = asdict(self)
        found.pop("folder")
        return found | {"notes": list(self.notes)}
