"""Whether a path leads into a vault: ``cohort.vault/images/a.nii.gz`` names a member, though there is no such file."""

from __future__ import annotations

import os
from pathlib import Path

HEAD = "vault.json"
"""The file by which a folder is known as a vault."""


def vault_of(path: str | os.PathLike[str]) -> tuple[Path, str] | None:
    """The vault in which a path lies, and the rest of it; None where there is no vault on the way.

    Args:
        path: Of a vault itself, of a member, or of anything else; it need not exist. The current folder counts only
            where the path names it: a word that is no path is no member, wherever it is said.

    Returns:
        The vault's folder, and the name within, which is empty for the vault itself.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / HEAD).write_text("{}")
        ...     vault_of(f"{folder}/images/a.nii.gz")[1], vault_of(Path(folder).parent / "b.nii.gz")
        ('images/a.nii.gz', None)
    """
    place = Path(path)
    for folder in (place, *place.parents):
        if folder == Path() != place:
            continue
        try:
            if (folder / HEAD).is_file():
                name = place.relative_to(folder).as_posix()
                return folder, "" if name == "." else name
        except (OSError, ValueError):  # a name too long for the system, or with a NUL in it
            continue
    return None
