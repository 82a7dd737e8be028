"""What a folder of results holds and what each was made of, so that a run that was cut off can go on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from vesalius.errors import FormatError
from vesalius.io.atomic import explained

NAME = "vesalius-segment.jsonl"
"""Of the journal in a folder of results: a JSON object a line, of which the last one about a result counts."""


@dataclass(frozen=True)
class Entry:
    """What the journal says about a result.

    Args:
        target: Name of its file.
        origin: Checksum of all that decides what is in it.
        sha256: Of each file that was written, by name. Empty while the result is being made.
        voxels: Of each label.
        volume_ml: Of each label; None where voxels have no volume in space.
    """

    target: str
    origin: str
    sha256: Mapping[str, str] = field(default_factory=dict)
    voxels: Mapping[str, int] = field(default_factory=dict)
    volume_ml: Mapping[str, float] | None = None

    @property
    def done(self) -> bool:
        """Whether it was written to the end."""
        return bool(self.sha256)

    def is_whole(self, folder: Path) -> bool:
        """Whether all its files are in the folder."""
        return self.done and all((folder / name).is_file() for name in self.sha256)

    def changed(self, folder: Path) -> list[str]:
        """Those of its files that are in the folder and no longer what was written."""
        there = [name for name in self.sha256 if (folder / name).is_file()]
        return [name for name in there if sha256_of(folder / name) != self.sha256[name]]


def read_journal(folder: Path) -> dict[str, Entry]:
    """The last entry about each result, by the name of its file; nothing where there is no journal.

    Lines that cannot be understood are passed over, like one that was being written when the power went: what they
    told of counts as not done.

    Raises:
        FormatError: The journal cannot be read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     note(Path(folder), Entry("a.nii.gz", "5af3"))
        ...     read_journal(Path(folder))["a.nii.gz"].done
        False
    """
    try:
        lines = (folder / NAME).read_bytes().splitlines()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise FormatError(f"cannot read {NAME} in the folder of results: {error.strerror}") from None
    return {entry.target: entry for entry in map(_entry, lines) if entry is not None}


def note(folder: Path, entry: Entry) -> None:
    """Add an entry to the journal; it is on the disk when this returns.

    Raises:
        VesaliusError: The system refused to write it (disk full, no permission).
    """
    told = {name: value for name, value in asdict(entry).items() if value}
    line = json.dumps(told, ensure_ascii=False).encode() + b"\n"
    with explained(NAME), (folder / NAME).open("a+b") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - 1))
        torn = end > 0 and file.read(1) != b"\n"
        file.write(b"\n" * torn + line)
        file.flush()
        os.fsync(file.fileno())


def sha256_of(path: Path) -> str:
    """Checksum of a file's bytes, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _entry(line: bytes) -> Entry | None:
    try:
        raw = json.loads(line)
        entry = Entry(
            raw["target"],
            raw["origin"],
            {name: str(sha256) for name, sha256 in raw.get("sha256", {}).items()},
            {label: int(count) for label, count in raw.get("voxels", {}).items()},
            {label: float(ml) for label, ml in raw["volume_ml"].items()} if "volume_ml" in raw else None,
        )
        # Names only: no entry leads out of the folder.
        return entry if all(Path(name).name == name for name in (entry.target, *entry.sha256)) else None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
