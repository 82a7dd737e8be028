"""De-identify a folder: every file cleaned, or held back for a person to look at, and a report that says no value."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from vesalius.errors import DataError, FormatError, MissingDependencyError, PrivacyError, VesaliusError
from vesalius.image import LabelMap, Volume
from vesalius.io.atomic import make_folder, write_bytes, write_text
from vesalius.privacy.files import clean_file, suffix_of, voxel_files
from vesalius.privacy.findings import Findings
from vesalius.privacy.links import Links
from vesalius.privacy.objects import clean_object, is_dicom
from vesalius.privacy.profile import Profile
from vesalius.privacy.pseudonyms import Pseudonyms
from vesalius.privacy.series import Waiting, settle

REASONS = "reasons.json"
_STAGING = ".part-series"
_NAMED = (".pdf", ".txt", ".csv", ".xml", ".json", ".zip", ".doc", ".docx", ".xls", ".xlsx", ".html", ".avi", ".mp4")


@dataclass(frozen=True)
class FileReport:
    """What became of one file; nothing in it says whose it is.

    Args:
        name: Its path below the folder of results, or its name in the quarantine.
        actions: What was done.
        doubts: Why it is in the quarantine; empty for what was written.
    """

    name: str
    actions: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """What a run did.

    Args:
        options: Of the profile.
        written: What lies in the folder of results.
        quarantined: What waits for a person.
        left_out: How many files were not copied, by the reason.
        links: Who is behind the pseudonyms; never shown.
    """

    options: tuple[str, ...]
    written: tuple[FileReport, ...]
    quarantined: tuple[FileReport, ...]
    left_out: dict[str, int]
    links: Links = field(repr=False)

    def to_json(self) -> str:
        """The report as text; it holds no value of any file."""
        said = {
            "standard": "DICOM PS3.15 2026d, Annex E",
            "options": ["basic", *self.options],
            "written": [{"name": one.name, "actions": one.actions} for one in self.written],
            "quarantined": [{"name": one.name, "doubts": one.doubts} for one in self.quarantined],
            "left_out": self.left_out,
        }
        return json.dumps(said, indent=1) + "\n"


def deidentify(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    profile: Profile,
    key: bytes,
    quarantine: str | os.PathLike[str] | None = None,
    directory: bool = False,
    find_brain: Callable[[Volume], LabelMap | None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """De-identify every file of a folder.

    DICOM goes to ``out/patient/study/series/object.dcm``, all four pseudonyms; other images and their sidecars keep
    the shape of their folders under new names. Whatever is not certain (a damaged file, a kind that nobody can clean,
    text that could hardly be read) is copied as it is to the quarantine, which is for the eyes of those who may see the
    patients; nothing of it is in ``out``. The same key gives the same names, UIDs and shifts in every run, and to
    de-identify the result again changes nothing.

    Args:
        folder: The files, with all folders below; or one file. It is not changed. Symbolic links are not followed.
        out: Where the results go; it may hold those of other runs.
        profile: Of PS3.15, with its options; see `vesalius.privacy.profile.make_profile`.
        key: The secret that pseudonyms follow from, 16 bytes or more.
        quarantine: Where the doubtful files go; ``out`` with ``.quarantine`` at its end when not given.
        directory: Whether to lay the DICOM files out as a DICOMDIR demands it and to write one: in folders ``PT000000``
            and so on, without suffixes.
        find_brain: Where the profile takes faces off: asked for the brain in each image, for example by a trained
            segmenter; it is then kept, and the face found by it. ``None`` for an image leaves that to the image's own
            grey values.
        progress: Called with the number of files that are done, and of all.

    Returns:
        What was done to each file.

    Raises:
        DataError: There is no such folder, or one of the folders lies in another.
        PrivacyError: The key is too short.
        MissingDependencyError: The profile asks for ``pixels`` and RapidOCR is not installed.
        VesaliusError: The system refused to write.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     scans = make_folder(Path(place) / "scans")
        ...     _ = (scans / "letter to Jane Doe.txt").write_text("Dear Jane")
        ...     report = deidentify(scans, Path(place) / "out", profile=Profile(), key=bytes(16))
        >>> report.quarantined[0].doubts, report.written
        (('it is of a kind that cannot be cleaned',), ())
    """
    source, target = Path(folder), Path(out)
    held = target.with_name(f"{target.name}.quarantine") if quarantine is None else Path(quarantine)
    _refuse_overlap(source, target, held)
    pseudonyms = Pseudonyms(key)
    make_folder(target)
    files = list(_files(source))
    # What a header takes along is no file of its own.
    taken = {voxels.resolve() for path in files for voxels in _taken_along(path)}
    shutil.rmtree(target / _STAGING, ignore_errors=True)  # of a run that was killed
    work = _Run(source if source.is_dir() else source.parent, target, held, profile, pseudonyms, find_brain)
    for number, path in enumerate(files):
        if path.is_symlink():
            work.left_out["a symbolic link, which is not followed"] += 1
        elif path.resolve() not in taken:
            _one(path, work)
        if progress is not None:
            progress(number + 1, len(files))
    if work.waiting:
        _settle(work)
    if directory:
        _list(work)
    if work.quarantined:
        reasons = {one.name: list(one.doubts) for one in work.quarantined}
        write_text(held / REASONS, json.dumps(_reasons_before(held) | reasons, indent=1) + "\n")
    options = tuple(sorted(profile.options))
    return Report(options, tuple(work.written), tuple(work.quarantined), dict(work.left_out), work.links)


@dataclass
class _Run:
    """One run: where it reads and writes, and what it did so far."""

    source: Path
    target: Path
    held: Path
    profile: Profile
    pseudonyms: Pseudonyms
    find_brain: Callable[[Volume], LabelMap | None] | None = None
    written: list[FileReport] = field(default_factory=list)
    quarantined: list[FileReport] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    links: Links = field(default_factory=Links)
    digests: dict[Path, bytes] = field(default_factory=dict)
    waiting: dict[Path, list[Waiting]] = field(default_factory=dict)  # by series

    @property
    def staging(self) -> Path:
        """Where the files of a series wait for each other, before anything of them is in the results."""
        return self.target / _STAGING


def _list(work: _Run) -> None:
    from vesalius.privacy.dicomdir import rebuild

    moves, left = rebuild(work.target)
    names = {old.as_posix(): new.as_posix() for old, new in moves.items()}
    work.written = [replace(one, name=names.get(one.name, one.name)) for one in work.written]
    if left:
        work.left_out["an object that a DICOMDIR cannot list; it is in the results, not in the list"] += left


def _one(path: Path, work: _Run) -> None:
    suffix = suffix_of(path)
    try:
        dicom = is_dicom(path)
        suffix = ".dcm" if dicom else suffix
        findings = _dicom(path, work) if dicom else _other(path, work)
    except MissingDependencyError:
        raise
    except (FormatError, DataError):
        # The reader's words name the file, and file names name patients.
        findings = Findings(doubts=("it cannot be read: it is damaged, or not what it says that it is",))
    except MemoryError:
        findings = Findings(doubts=("it does not fit in memory",))
    if findings is not None and not findings.sure:
        _hold_back(path, suffix, findings, work)


def _dicom(path: Path, work: _Run) -> Findings | None:
    cleaned = clean_object(path, work.profile, work.pseudonyms)
    if cleaned is None:
        work.left_out["a DICOMDIR, which repeats the identities of the files that it lists"] += 1
        return None
    waits = cleaned.place is not None or "faces" in work.profile.options
    if not cleaned.findings.sure:
        if waits:
            work.waiting.setdefault(cleaned.name.parent, []).append(Waiting.of(path, cleaned))
            return None
        return cleaned.findings
    digest = hashlib.sha256(cleaned.data).digest()
    before = work.digests.get(cleaned.name, digest)
    if before != digest:
        return Findings(doubts=("another object of other contents has the same UID",))
    if cleaned.name in work.digests:
        work.left_out["a copy of an object that was written already"] += 1
        return None
    work.digests[cleaned.name] = digest
    place = (work.staging if waits else work.target) / cleaned.name
    make_folder(place.parent)
    write_bytes(place, cleaned.data)
    if waits:
        work.waiting.setdefault(cleaned.name.parent, []).append(Waiting.of(path, cleaned))
    else:
        work.written.append(FileReport(cleaned.name.as_posix(), cleaned.findings.actions))
    if cleaned.pseudonym != cleaned.patient["PatientID"]:
        work.links.patients[cleaned.pseudonym] = cleaned.patient
    work.links.uids.update(cleaned.uids)
    return None


def _settle(work: _Run) -> None:
    faces = "faces" in work.profile.options
    try:
        for files in work.waiting.values():
            for one in settle(work.staging, files, faces=faces, find_brain=work.find_brain):
                if not one.findings.sure:
                    _hold_back(one.path, ".dcm", one.findings, work)
                    continue
                make_folder((work.target / one.name).parent)
                (work.staging / one.name).replace(work.target / one.name)
                work.written.append(FileReport(one.name.as_posix(), one.findings.actions))
    finally:
        shutil.rmtree(work.staging, ignore_errors=True)


def _other(path: Path, work: _Run) -> Findings | None:
    below = path.relative_to(work.source)
    suffix = suffix_of(path) or ""
    names = work.pseudonyms
    folder = Path(*(names.name(part, of="folder") for part in below.parent.parts))
    stem = path.name[: len(path.name) - len(suffix)] if suffix else path.name
    name = names.name(stem, of="file")
    place = make_folder(work.target / folder)
    # Written apart first: nothing doubtful is to be in the results, not even for a moment.
    apart = place / f".part-{name}"
    if apart.exists():
        shutil.rmtree(apart)
    apart.mkdir()
    try:
        findings = clean_file(path, apart, name=name)
        if findings.sure:
            findings = findings + _seen(apart, work)
        if not findings.sure:
            return findings
        head = ""
        for one in sorted(apart.iterdir()):
            # A JPEG that became a PNG gives way to a PNG of its name.
            given = suffix == one.suffix.lower() or one.suffix != ".png" or not _beside(path, ".png")
            final = one.name if given else f"{names.name(path.name, of='file')}.png"
            one.replace(place / final)
            head = final if not head or one.name == f"{name}{suffix}" else head
    finally:
        shutil.rmtree(apart, ignore_errors=True)
        _remove_empty(place, work.target)
    written = (folder / head).as_posix()
    work.written.append(FileReport(written, findings.actions))
    if stem != name:
        work.links.files[written] = below.as_posix()
    return None


def _seen(apart: Path, work: _Run) -> Findings:
    """Look at the pixels of pictures and volumes, and take the face off, where the profile asks for it."""
    found = Findings()
    if "pixels" in work.profile.options:
        from vesalius.privacy.burnt import clean_burnt

        for one in sorted(apart.iterdir()):
            found = found + clean_burnt(one)
    if "faces" in work.profile.options:
        from vesalius.privacy.heads import deface_file

        for one in sorted(apart.iterdir()):
            found = found + deface_file(one, find_brain=work.find_brain)
    return found


def _beside(path: Path, suffix: str) -> bool:
    """Whether a file of the same name with another suffix lies beside one."""
    return any(one.stem == path.stem and one.suffix.lower() == suffix for one in path.parent.iterdir())


def _hold_back(path: Path, suffix: str | None, findings: Findings, work: _Run) -> None:
    make_folder(work.held)
    work.held.chmod(0o700)
    end = suffix or (path.suffix.lower() if path.suffix.lower() in _NAMED else ".bin")
    below = path.relative_to(work.source).as_posix()
    for one in (path, *_taken_along(path)):
        name = f"{work.pseudonyms.name(below, of='quarantine')}{end if one == path else one.suffix.lower()}"
        shutil.copyfile(one, work.held / name)
        (work.held / name).chmod(0o600)
    name = f"{work.pseudonyms.name(below, of='quarantine')}{end}"
    work.quarantined.append(FileReport(name, doubts=findings.doubts))
    work.links.files[name] = below


def _taken_along(path: Path) -> tuple[Path, ...]:
    try:
        return voxel_files(path)
    except VesaliusError:
        return ()


def _remove_empty(place: Path, above: Path) -> None:
    while place != above and not any(place.iterdir()):
        place.rmdir()
        place = place.parent


def _reasons_before(held: Path) -> dict[str, list[str]]:
    try:
        before = json.loads((held / REASONS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return before if isinstance(before, dict) else {}


def _files(source: Path) -> Iterator[Path]:
    if source.is_file():
        yield source
        return
    for place, folders, names in os.walk(source):
        folders.sort()
        for name in sorted(names):
            path = Path(place) / name
            if path.is_symlink() or path.is_file():
                yield path


def _refuse_overlap(source: Path, target: Path, held: Path) -> None:
    if not source.exists():
        raise DataError(f"{source.name}: there is no such file or folder")
    places = [place.resolve() for place in (source, target, held)]
    for one in places:
        for other in places:
            if one is not other and one.is_relative_to(other):
                raise PrivacyError("the files, the results and the quarantine must lie apart, none within another")
