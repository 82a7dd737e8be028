"""Image and reference side by side, told apart by their names: ``x.png`` and ``x_mask.png``, ``ct`` and ``seg``."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vesalius.image import LeftOut, Record
from vesalius.io.layouts.choice import choose_reference
from vesalius.io.layouts.declared import labels_beside
from vesalius.io.layouts.files import case_name, find_images, group_channels, stem
from vesalius.io.layouts.found import Found, without_doubles
from vesalius.io.layouts.roles import Role, bare, role

LOOKS_FOR = (
    "images and references in the same folders, told apart by name (X and X_gt, _seg, _label, _mask, _segmentation, "
    "_Annotation …; FLAIR, T1 and lesion_seg in a folder for each case)"
)


@dataclass
class _Candidate:
    """The images of a case, and every file that may be its reference."""

    key: str
    channels: dict[str, Path]
    place: Path
    named: str
    plain: bool
    references: dict[str, Path] = field(default_factory=dict)


def recognise(folder: Path) -> bool:
    """Whether at least one image has a file beside it that is named as its reference."""
    if not folder.is_dir():
        return False
    candidates, _ = _collect(folder)
    return any(candidate.references for candidate in candidates)


def scan(folder: Path, *, reference: str | None = None) -> Found:
    """Find the cases and give each its reference.

    Files of one folder belong to one case when their names differ only in what they are (``x_T1``, ``x_FLAIR``,
    ``x_seg``), or when the folder holds nothing but one case (``T1``, ``FLAIR``, ``lesion_seg``). References of one
    data set carry one mark: images whose only reference is marked otherwise are left out, for other marks may mean
    other structures.

    Args:
        folder: The root.
        reference: The mark of the references (``"lobes"`` for ``0004_lobes.nii.gz``) when there are several.

    Raises:
        DataError: Two marks are as likely as each other, or ``reference`` is not among them.
    """
    candidates, left_out = _collect(folder)
    marks = [mark for candidate in candidates for mark in candidate.references]
    mark = choose_reference(marks, reference, where=folder.name)
    records: list[Record] = []
    folders: dict[str, tuple[str, ...]] = {}
    channels = _usual_channels(candidate for candidate in candidates if mark in map(bare, candidate.references))
    for candidate in candidates:
        parts = candidate.place.relative_to(folder).parts
        case = case_name(parts, candidate.named) or folder.name
        outcome = _record(case, candidate, mark, channels)
        if isinstance(outcome, LeftOut):
            left_out.append(outcome)
        else:
            records.append(outcome)
            folders[case] = parts
            left_out += _others(folder, candidate, mark)
    return Found(
        tuple(without_doubles(records, left_out)),
        channels,
        labels=labels_beside(folder),
        left_out=tuple(left_out),
        notes=(f"references are the files marked {mark!r}",),
        folders=folders,
    )


def group_images(folder: Path) -> Found:
    """Find the cases of a folder that holds images and no references."""
    records: list[Record] = []
    folders: dict[str, tuple[str, ...]] = {}
    candidates, left_out = _collect(folder)
    channels = _usual_channels(candidates)
    for candidate in candidates:
        parts = candidate.place.relative_to(folder).parts
        case = case_name(parts, candidate.named) or folder.name
        if _names(candidate, channels) != channels:
            left_out.append(_unlike(case, candidate, channels))
        else:
            records.append(Record(case, tuple(candidate.channels.values())))
            folders[case] = parts
    return Found(tuple(without_doubles(records, left_out)), channels, left_out=tuple(left_out), folders=folders)


def _record(case: str, candidate: _Candidate, mark: str, channels: tuple[str, ...]) -> Record | LeftOut:
    chosen = [path for found, path in candidate.references.items() if bare(found) == mark]
    if not chosen:
        others = ", ".join(sorted(candidate.references))
        has = f"; it has {others} instead, which may mean other structures" if others else ""
        return LeftOut(case, f"no reference marked {mark!r}{has}")
    parts = [path.name for found, path in candidate.references.items() if _continues(bare(found), mark)]
    if parts:
        return LeftOut(case, f"its reference is in several files, to be united first: {chosen[0].name}, {parts[0]}")
    if _names(candidate, channels) != channels:
        return _unlike(case, candidate, channels)
    return Record(case, tuple(candidate.channels.values()), chosen[0])


def _others(folder: Path, candidate: _Candidate, mark: str) -> list[LeftOut]:
    return [
        LeftOut(
            path.relative_to(folder).as_posix(),
            f"another reference of an image whose reference marked {mark!r} is used (reference= chooses)",
        )
        for found, path in candidate.references.items()
        if bare(found) != mark
    ]


def _continues(found: str, mark: str) -> bool:
    return found.startswith(mark) and found[len(mark) :].lstrip("_-. ").isdecimal()


def _unlike(case: str, candidate: _Candidate, channels: tuple[str, ...]) -> LeftOut:
    has = ", ".join(candidate.channels) or "image"
    return LeftOut(case, f"its channels are {has}; those of most cases are {', '.join(channels)}")


def _names(candidate: _Candidate, channels: tuple[str, ...]) -> tuple[str, ...]:
    # A single file is the image, whatever its name says about it.
    return channels if len(candidate.channels) == 1 == len(channels) else tuple(candidate.channels)


def _usual_channels(candidates: Iterable[_Candidate]) -> tuple[str, ...]:
    counts = Counter(tuple(candidate.channels) for candidate in candidates)
    sizes = Counter(len(names) for names in counts.elements())
    size = max(sizes, key=lambda number: (sizes[number], -number))
    usual = {names: count for names, count in counts.items() if len(names) == size}
    names = max(usual, key=lambda names: usual[names])
    says_nothing = role(names[0]).plain or len(usual) > 1
    return ("image",) if size == 1 and says_nothing else names


def _collect(folder: Path) -> tuple[list[_Candidate], list[LeftOut]]:
    places: dict[Path, list[Path]] = defaultdict(list)
    for path in find_images(folder):
        places[path.parent if path != folder else path].append(path)
    candidates: list[_Candidate] = []
    left_out: list[LeftOut] = []
    for place, paths in sorted(places.items()):
        found, orphans = _collect_place(place, paths)
        candidates += found
        left_out += [LeftOut(path.relative_to(folder).as_posix(), reason) for path, reason in orphans]
    return candidates, left_out


def _collect_place(place: Path, paths: list[Path]) -> tuple[list[_Candidate], list[tuple[Path, str]]]:
    """The cases of one folder, and its files that belong to none."""
    roles = {path: _role(path) for path in paths}
    images = {stem(path): path for path, found in roles.items() if found.kind == "image"}
    references = {path: found for path, found in roles.items() if found.kind == "reference"}
    orphans = [
        (path, "a mask of the brain or the field of view is neither an image nor a reference")
        for path, found in roles.items()
        if found.kind == "auxiliary"
    ]
    # x.png and x_mask.png: the reference says exactly whose it is.
    single: dict[str, _Candidate] = {}
    for path in list(references):
        owner = _owner(stem(path), images)
        if owner is not None:
            candidate = single.setdefault(owner, _Candidate(owner, {"image": images[owner]}, place, owner, True))
            candidate.references[stem(path)[len(owner) :].lstrip("_-. ")] = path
            del references[path]
    groups = _group({name: path for name, path in images.items() if name not in single}, roles, place)
    _adopt_unknown(groups)
    for path, found in references.items():
        keys = [found.key, *([f"{found.key}_{found.number}"] if found.number and not found.leading else [])]
        key = next((key for key in keys if key in groups and key), None)
        if key is not None:
            groups[key].references[found.word] = path
            continue
        if len(groups) == 1 and not single:
            # One case is all that the folder holds, so this is its reference.
            only = next(iter(groups.values()))
            only.references[stem(path)] = path
            only.named = ""
        else:
            orphans.append((path, f"named as a reference ({found.word}), but no image of the same name lies beside it"))
    return [*single.values(), *groups.values()], orphans


def _role(path: Path) -> Role:
    found = role(stem(path))
    # DICOM objects are images here, whatever their folder is called: no reader makes a reference of them.
    return Role("image", stem(path)) if path.is_dir() and found.kind != "image" else found


def _owner(name: str, images: Mapping[str, Path]) -> str | None:
    """The longest image name that this reference's name continues: ``x`` for ``x_mask`` and ``x_mask_1``."""
    owners = [
        image
        for image in images
        if len(name) > len(image) and name.startswith(image) and role(f"x{name[len(image) :]}").kind == "reference"
        if name[len(image)] in "_-. "
    ]
    return max(owners, key=len, default=None)


def _group(images: Mapping[str, Path], roles: Mapping[Path, Role], place: Path) -> dict[str, _Candidate]:
    """Put the channels of a case together."""
    numbered = group_channels(list(images))
    if numbered is not None:
        return {
            key: _Candidate(key, {f"channel {n}": images[name] for n, name in enumerate(names)}, place, key, True)
            for key, names in numbered.items()
        }
    groups: dict[str, _Candidate] = {}
    for name, path in sorted(images.items(), key=lambda item: item[0].casefold()):
        found = roles[path]
        word = found.word or "image"
        group = groups.get(found.key)
        if group is None or word in group.channels:
            key = found.key if group is None else name
            named = name if found.leading else found.key
            groups[key] = _Candidate(key, {word: path}, place, named, bool(found.word) and found.plain)
        else:
            group.channels[word] = path
            group.named = found.key
            group.plain = False
    return groups


def _adopt_unknown(groups: dict[str, _Candidate]) -> None:
    """Beside ``x_image``, a file ``x_lobes`` is a reference, though "lobes" is no word that is known for one."""
    owners = [key for key, group in groups.items() if group.plain and key]
    for key in list(groups):
        owner = max((o for o in owners if o != key and key.startswith(f"{o}_")), key=len, default=None)
        if owner is not None and list(groups[key].channels) == ["image"] and not groups[key].plain:
            groups[owner].references[key[len(owner) + 1 :]] = groups.pop(key).channels["image"]
