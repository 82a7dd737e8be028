"""Which engine was the fastest, kept beside the bundle: names in a small JSON file, and nothing that is run."""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path

import torch

from vesalius.errors import VesaliusError
from vesalius.io.atomic import make_folder, write_text

FILE = "engines.json"
_FORMAT, _VERSION = "vesalius engines", 1
_LARGEST = 1 << 16  # bytes
_MOST = 100  # choices kept

Setting = Mapping[str, str]
"""All that a choice depends on."""


def setting_of(device: torch.device, window: Sequence[int], digest: str) -> Setting:
    """What a choice of engine depends on: processor or GPU, threads, versions, window and bundle.

    Args:
        device: Where the networks are.
        window: ``(b, c, *patch)``.
        digest: Of the bundle and the members used.
    """
    return {
        "processor": _processor(),
        "threads": str(torch.get_num_threads()),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "torch": torch.__version__,
        "openvino": _version("openvino"),
        "window": "x".join(str(size) for size in window),
        "bundle": digest,
    }


def recall(folders: Sequence[Path], setting: Callable[[], Setting]) -> str:
    """The engine that was the fastest in a setting; an empty word where nobody knows.

    Args:
        folders: Where to look, in order. A file that is damaged, too large or of another kind counts as none.
        setting: Gives what `setting_of` does; asked only where there is anything to look through.

    Returns:
        What the file says: it may be any word.
    """
    for folder in folders:
        for choice in _read(folder / FILE):
            if choice.get("setting") == dict(setting()):
                return str(choice.get("engine"))
    return ""


def remember(folders: Sequence[Path], setting: Setting, engine: str) -> None:
    """Keep which engine was the fastest, in the first of the folders that can be written to; in none if none can.

    Args:
        folders: Where, in order of preference; they are made.
        setting: See `setting_of`.
        engine: Its name.
    """
    for folder in folders:
        others = [choice for choice in _read(folder / FILE) if choice.get("setting") != dict(setting)]
        choices = [{"engine": engine, "setting": dict(setting)}, *others][:_MOST]
        text = json.dumps({"format": _FORMAT, "version": _VERSION, "choices": choices}, indent=1) + "\n"
        with contextlib.suppress(VesaliusError):
            write_text(make_folder(folder) / FILE, text)
            return


def cache_folder() -> Path:
    """The user's folder for what can be found out again.

    Source: XDG Base Directory Specification 0.8: ``$XDG_CACHE_HOME``, or ``~/.cache`` where it is not an absolute path.
    """
    told = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (told if told.is_absolute() else Path.home() / ".cache") / "vesalius"


def _read(path: Path) -> list[Mapping[str, object]]:
    """The choices in a file; none where it is not ours."""
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST + 1)
        raw = json.loads(text) if len(text) <= _LARGEST else None
    except (OSError, ValueError, RecursionError):
        return []
    if not isinstance(raw, dict) or (raw.get("format"), raw.get("version")) != (_FORMAT, _VERSION):
        return []
    choices = raw.get("choices")
    return [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []


@cache
def _processor() -> str:
    """Make and model."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
