"""What can stand in the place of a path: something that lends a plain file for the time it is read."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, runtime_checkable


@runtime_checkable
class Lendable(Protocol):
    """A file that has to be made plain first, such as a member of a vault (`vesalius.privacy.vault.member`).

    Example:
        >>> isinstance("ct.nii.gz", Lendable), isinstance(Path("ct.nii.gz"), Lendable)
        (False, False)
    """

    def lent(self) -> AbstractContextManager[Path]:
        """Lend the file, or the folder, for a block; afterwards it is gone."""
