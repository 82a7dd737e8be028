"""The rules that lie with data: a file ``vesalius-privacy.toml`` binds all that lies in its folder and below.

```toml
register = "consent.sqlite"      # or postgresql://USER@HOST/DATABASE?password_file=FILE
register_key = "consent.key"     # of a register that is a server's; else beside the SQLite file
audit = "audit"                  # folder of the audit chain
access = "access.json"           # who has which roles
```

All are optional; paths start at the file's folder, that of ``password_file``, too.

The rules bind whoever works with Vesalius and cannot be forgotten, since they lie with the data. They are no lock: who
may write to the folder may take them away. That is for the permissions of the file system to prevent, or for a vault.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from vesalius.errors import PrivacyError, unknown_name

RULES = "vesalius-privacy.toml"
_KNOWN = ("register", "register_key", "audit", "access")
_LARGEST = 1 << 16


@dataclass(frozen=True)
class Rules:
    """What holds for a folder and all below it.

    Args:
        file: The file that says so.
        register: Path or URL of the consent register; empty for none.
        register_key: File of its key, where it is not beside it.
        audit: Folder of the audit chain.
        access: File of the roles.
    """

    file: Path
    register: str = ""
    register_key: Path | None = None
    audit: Path | None = None
    access: Path | None = None


def find_rules(path: str | os.PathLike[str]) -> Rules | None:
    """The rules of a file or folder: those of the nearest folder above that has any.

    Args:
        path: What is to be worked with; it need not exist.

    Raises:
        PrivacyError: The file cannot be read or says something that is not known: data under rules that nobody can read
            are not worked with.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / RULES).write_text('audit = "audit"')
        ...     find_rules(Path(folder) / "images" / "a.nii.gz").audit.name
        'audit'
    """
    place = Path(os.path.realpath(path))
    for folder in (place, *place.parents):
        file = folder / RULES
        if file.is_file():
            return _read(file)
    return None


def _read(file: Path) -> Rules:
    try:
        with file.open("rb") as opened:
            text = opened.read(_LARGEST + 1)
        said = tomllib.loads(text.decode("utf-8"))
        right = len(text) <= _LARGEST and all(isinstance(value, str) and value for value in said.values())
    except OSError as error:
        raise PrivacyError(f"cannot read {file.name}: {error.strerror}") from None
    except (ValueError, RecursionError):
        right, said = False, {}
    if not right:
        raise PrivacyError(f"{file.name} is damaged: it must be TOML with texts for {', '.join(_KNOWN)}")
    for name in said:
        if name not in _KNOWN:
            raise PrivacyError(f"{file.name}: {unknown_name('rule', name, _KNOWN)}")

    def below(name: str) -> Path | None:
        return file.parent / said[name] if name in said else None

    register = str(said.get("register", ""))
    if register and "://" not in register:
        register = str(file.parent / register)
    register = re.sub(r"(\bpassword_file=)(?!/)", lambda found: f"{found[1]}{file.parent}/", register)
    return Rules(file, register, below("register_key"), below("audit"), below("access"))
