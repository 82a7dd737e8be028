"""``images/`` beside ``labels/`` or ``masks/``, paired by file name."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

from vesalius.image import LeftOut, Record
from vesalius.io.layouts.choice import choose_reference
from vesalius.io.layouts.declared import labels_beside
from vesalius.io.layouts.files import case_name, find_images, group_channels, leftovers, stem, subfolders
from vesalius.io.layouts.found import Found, without_doubles
from vesalius.io.layouts.roles import role

LOOKS_FOR = "images/ beside labels/, masks/, segmentations/ or annotations/, also once for each patient or group"

_IMAGES = ("images", "image", "imgs", "img", "imagestr", "scans", "volumes")
_REFERENCES = (
    "labels", "label", "labelstr", "masks", "mask", "segmentations", "segmentation", "segs", "seg",
    "annotations", "annotation", "references", "reference", "gt", "ground_truth", "groundtruth",
    "manual", "1st_manual", "2nd_manual",
)  # fmt: skip
_DEEPEST = 3


def recognise(folder: Path) -> bool:
    """Whether an ``images`` folder has a ``labels`` or ``masks`` folder beside it."""
    return bool(_places(folder))


def scan(folder: Path, *, reference: str | None = None) -> Found:
    """Pair the files by name: ``images/x.png`` with ``labels/x.png`` or ``masks/x_mask.png``, at the same depth.

    Args:
        folder: The root.
        reference: The folder of the references, for example ``"masks"``, when there are several.

    Raises:
        DataError: Two folders are as likely to hold the references, or ``reference`` is none of them.
    """
    places = _places(folder)
    chosen = choose_reference([name for _, references in places for name in references], reference, where=folder.name)
    records: list[Record] = []
    left_out: list[LeftOut] = []
    folders: dict[str, tuple[str, ...]] = {}
    used: list[Path] = []
    for images, references in places:
        if chosen not in references:
            continue
        for record, parts in _pair(images, references[chosen], folder):
            used += [path for path in (*record.images, record.reference) if path is not None]
            if not record.images:
                left_out.append(LeftOut(record.id, f"{chosen} holds its reference, but {images.name} holds no image"))
            elif record.reference is None:
                left_out.append(LeftOut(record.id, f"no reference of this name in {chosen}, or several"))
            else:
                records.append(record)
                folders.setdefault(record.id, parts)
    files = Counter(len(record.images) for record in records).most_common(1)[0][0] if records else 1
    for record in [record for record in records if len(record.images) != files]:
        records.remove(record)
        left_out.append(LeftOut(record.id, f"its image files are {len(record.images)}; most cases have {files}"))
    records = without_doubles(records, left_out)
    left_out += leftovers(folder, used, f"neither an image nor a reference: not in a folder with {chosen} beside it")
    return Found(
        tuple(records),
        tuple(f"channel {n}" for n in range(files)) if files > 1 else ("image",),
        labels=labels_beside(folder),
        left_out=tuple(left_out),
        notes=(f"references are the files of {chosen}",),
        folders=folders,
    )


def _places(folder: Path, depth: int = 0) -> list[tuple[Path, dict[str, Path]]]:
    """Every images folder, with the folders of references beside it by name."""
    if not folder.is_dir():
        return []
    inside = {path.name.casefold(): path for path in subfolders(folder)}
    images = [inside[name] for name in _IMAGES if name in inside]
    references = {name: inside[name] for name in _REFERENCES if name in inside}
    if images and references:
        return [(images[0], references)]
    return [place for path in inside.values() if depth < _DEEPEST for place in _places(path, depth + 1)]


def _pair(images: Path, labels: Path, root: Path) -> list[tuple[Record, tuple[str, ...]]]:
    """Each case with its folders; one side may be missing."""
    pictures, references = _by_folder(images), _by_folder(labels)
    outside = images.parent.relative_to(root).parts
    pairs: list[tuple[Record, tuple[str, ...]]] = []
    for inner in sorted(pictures.keys() | references.keys()):
        here, there = pictures.get(inner, {}), references.get(inner, {})
        parts = (*outside, *inner)
        # Channel suffixes count as such only when the references don't carry them too.
        numbered = None if here.keys() & there.keys() else group_channels(list(here))
        cases = numbered or {name: [name] for name in here}
        taken: set[str] = set()
        for case, names in sorted(cases.items()):
            label = _partner(case, there)
            taken |= {label} if label else set()
            files = tuple(here[name] for name in names)
            pairs.append((Record(case_name(parts, case), files, there[label] if label else None), parts))
        pairs += [(Record(case_name(parts, name), (), there[name]), parts) for name in sorted(there.keys() - taken)]
    return pairs


def _partner(case: str, references: dict[str, Path]) -> str | None:
    """The reference of a case: of the same name, or of one that differs only in the words for image and reference."""
    if case in references:
        return case
    found = role(case)
    keys = {case, found.key} if found.word else {case}
    marked = [name for name in references if role(name).kind == "reference" and role(name).key in keys]
    return marked[0] if len(marked) == 1 else None


def _by_folder(folder: Path) -> dict[tuple[str, ...], dict[str, Path]]:
    """The images below a folder, by the folders between and then by stem."""
    found: dict[tuple[str, ...], dict[str, Path]] = defaultdict(dict)
    for path in find_images(folder):
        if path != folder:
            found[path.parent.relative_to(folder).parts][stem(path)] = path
    return found
