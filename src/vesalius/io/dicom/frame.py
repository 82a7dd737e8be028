"""What the reader knows of a file and of each of its frames. Values only: no file is opened here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import UID

from vesalius.io.dicom.suv import Uptake

Trait = tuple[str, float | str | tuple[float, ...]]
"""Something that tells apart the frames at one position: its name, and a value that can be sorted."""


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How the pixels of a file are stored (DICOM PS3.3 C.7.6.3).

    Args:
        syntax: Transfer syntax.
        at: Byte at which the pixel data element starts; ``None`` when there is none.
        rows, columns: Size of a frame.
        samples: 1 or 3.
        photometric: Photometric interpretation.
        planar: Whether colours are stored plane by plane.
        allocated, stored, high_bit: Bits of a sample, those that count, and the position of the highest of them.
        signed: Two's complement.
        frames: Number of frames in the file.
    """

    syntax: UID
    at: int | None
    rows: int
    columns: int
    samples: int
    photometric: str
    planar: bool
    allocated: int
    stored: int
    high_bit: int
    signed: bool
    frames: int

    @property
    def channels(self) -> int:
        """Channels of a decoded frame: a palette becomes three colours."""
        return 3 if self.samples == 3 or self.photometric == "PALETTE COLOR" else 1

    @property
    def frame_bits(self) -> int:
        """Bits of a frame when it is not compressed."""
        samples = 2 if self.photometric == "YBR_FULL_422" else self.samples
        return self.rows * self.columns * samples * self.allocated


@dataclass(frozen=True, slots=True)
class Source:
    """A file that holds image frames.

    Args:
        path: The file.
        series, instance: UIDs of the series and of this object; never shown.
        patient: A digest of the patient's identifier, empty where there is none: to tell patients apart, never shown.
        storage: Its SOP class.
        modality: As the header has it, for example ``"CT"``.
        description: Free text of the series: for the user's own screen only.
        series_number, instance_number: As the header has them.
        pixels: How they are stored.
        unit: Unit of the rescaled values; empty when unknown.
        tables: Palette or modality lookup table, when there is one.
        calibrated: Whether the frames' spacing is known.
        refusal: Why its frames cannot be read as an image, in words that follow the file's name; empty when they can.
        notes: What was decided about its geometry.
        uptake: Of a PET: dose, weight and times; never shown.
    """

    path: Path
    series: str
    instance: str
    storage: str
    modality: str
    description: str = field(repr=False)
    series_number: int | None
    instance_number: int | None
    pixels: PixelFormat
    unit: str = ""
    tables: Dataset | None = field(default=None, repr=False, compare=False)
    calibrated: bool = True
    refusal: str = ""
    notes: tuple[str, ...] = ()
    uptake: Uptake | None = field(default=None, repr=False, compare=False)
    patient: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture, and where it lies.

    Args:
        source: Its file.
        index: Its place in the file, from 0.
        position: Centre of the first pixel, mm, LPS; ``None`` for a picture without a place in the patient.
        orientation: Direction of a row (the way the column number rises), then of a column; with the position.
        spacing_mm: Between rows, then between columns, as DICOM has it; 1 when unknown.
        thickness_mm: Of the slice, if the header says.
        slope, intercept: From stored value to unit.
        traits: What tells it apart from other frames at its position.
        step_mm: Between slices, if the header says.
    """

    source: Source
    index: int
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing_mm: tuple[float, float]
    thickness_mm: float | None
    slope: float
    intercept: float
    traits: tuple[Trait, ...]
    step_mm: float | None = None

    @property
    def name(self) -> str:
        """The file, and the frame where there are several: for messages."""
        several = self.source.pixels.frames > 1
        return f"{self.source.path.name} (frame {self.index + 1})" if several else self.source.path.name
