"""nnU-Net raw, version 2: ``dataset.json``, ``imagesTr/CASE_0000.ext``, ``labelsTr/CASE.ext``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vesalius.errors import FormatError
from vesalius.image import LeftOut, Record
from vesalius.io.layouts.declared import NAME, declared_channels, declared_labels, read_json
from vesalius.io.layouts.files import find_images, leftovers, stem, suffix
from vesalius.io.layouts.found import Found, refuse_choice

LOOKS_FOR = "dataset.json with channel_names, and imagesTr/ with labelsTr/"


def recognise(folder: Path) -> bool:
    """Whether there is a ``dataset.json`` that speaks nnU-Net v2's language."""
    if not (folder / NAME).is_file():
        return False
    content = read_json(folder / NAME)
    return "channel_names" in content and ("dataset" in content or (folder / "imagesTr").is_dir())


def scan(folder: Path, *, reference: str | None = None) -> Found:
    """Find the training cases; images of ``imagesTs`` are reported as left out.

    Raises:
        FormatError: ``dataset.json`` is missing a key or holds something of the wrong kind.

    Source: nnU-Net v2 ``documentation/dataset_format.md``; the ``dataset`` key of its
    ``get_filenames_of_train_images_and_targets``.
    """
    refuse_choice("nnunet", reference)
    content = read_json(folder / NAME)
    channels = declared_channels(content, "channel_names")
    ending = content.get("file_ending")
    if not isinstance(ending, str) or suffix(Path(f"x{ending}")) != ending.lower():
        raise FormatError(f'{NAME}: "file_ending" must be that of an image format, such as ".nii.gz", not {ending!r}')
    records: list[Record] = []
    left_out: list[LeftOut] = []
    used: list[Path] = []
    listed = content.get("dataset")
    cases = _listed(folder, listed) if listed is not None else _by_name(folder, ending, len(channels))
    for record in cases:
        files = [path for path in (*record.images, record.reference) if path is not None]
        used += files
        missing = [path.name for path in files if not path.exists()]
        if missing:
            left_out.append(LeftOut(record.id, f"missing file: {', '.join(missing)}"))
        else:
            records.append(record)
    left_out += leftovers(folder, used, "not one of the training images and labels (imagesTr, labelsTr)")
    return Found(tuple(records), channels, declared=True, labels=declared_labels(content), left_out=tuple(left_out))


def _by_name(folder: Path, ending: str, channels: int) -> Iterator[Record]:
    images = [path for path in find_images(folder / "imagesTr") if path.name.endswith(ending)]
    labels = [path for path in find_images(folder / "labelsTr") if path.name.endswith(ending)]
    names = {stem(path)[:-5] for path in images if stem(path)[-5:-4] == "_" and stem(path)[-4:].isdecimal()}
    for case in sorted(names | {stem(path) for path in labels}):
        files = [folder / "imagesTr" / f"{case}_{number:04d}{ending}" for number in range(channels)]
        # A PNG may hold red, green and blue in its one file: then there are no further ones to miss.
        alone = ending.lower() not in (".nii.gz", ".nii") and not any(file.exists() for file in files[1:])
        yield Record(case, tuple(files[:1] if alone else files), folder / "labelsTr" / f"{case}{ending}")


def _listed(folder: Path, listed: object) -> Iterator[Record]:
    wanted = f'{NAME}: "dataset" must map each case to {{"images": [files], "label": file}}'
    if not isinstance(listed, dict) or not all(isinstance(entry, dict) for entry in listed.values()):
        raise FormatError(wanted)
    for case, entry in listed.items():
        images, label = entry.get("images"), entry.get("label")
        if not isinstance(images, list) or not images or not all(isinstance(p, str) for p in (*images, label)):
            raise FormatError(f"{wanted}; case {case!r} does not")
        yield Record(case, tuple(folder / path for path in images), folder / label)
