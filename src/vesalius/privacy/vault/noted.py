"""Whether a vault was put back as it was at an earlier moment: only what was noted elsewhere can tell."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from vesalius.privacy.audit import entries, name_hash
from vesalius.privacy.inside import HEAD


def state_of(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What the audit chain notes of a vault whenever it is worked with: its generation, and the SHA-256 of its head.

    Args:
        path: The folder.

    Returns:
        ``generation`` and ``head``; nothing where there is no vault.

    Example:
        >>> state_of("no such folder")
        {}
    """
    try:
        head = (Path(path) / HEAD).read_bytes()
        return {"generation": int(json.loads(head)["generation"]), "head": hashlib.sha256(head).hexdigest()}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def find_return(path: str | os.PathLike[str], chain: str | os.PathLike[str]) -> str:
    """Hold a vault against what an audit chain noted of it.

    Args:
        path: The vault's folder, where it was when it was noted.
        chain: Folder of the audit chain. Whether that can be trusted: `vesalius.privacy.verify.verify`.

    Returns:
        What is wrong, in words; empty where nothing is, or nothing was noted.

    Raises:
        FormatError: There is no chain.
        PrivacyError: Its key cannot be read.
    """
    now, wanted = state_of(path), name_hash(chain, str(Path(path).resolve()))
    noted = [entry.about for entry in entries(chain) if "head" in entry.about and wanted in entry.about.get("of", ())]
    newest = max((about["generation"] for about in noted), default=0)
    if now.get("generation", 0) < newest:
        known = f"it is at generation {now.get('generation', 0)}, and the audit chain knows generation {newest}"
        return f"{known}: it was put back as it was before"
    heads = {about["head"] for about in noted if about["generation"] == now.get("generation")}
    if heads - {now.get("head")}:
        return (
            f"its generation {now['generation']} is not the one that the audit chain knows: it was put back and changed"
        )
    return ""
