"""Medical Segmentation Decathlon: a ``dataset.json`` that lists its training pairs."""

from __future__ import annotations

from pathlib import Path

from vesalius.errors import FormatError
from vesalius.image import LeftOut, Record
from vesalius.io.layouts.declared import NAME, declared_channels, declared_labels, read_json
from vesalius.io.layouts.files import leftovers, stem
from vesalius.io.layouts.found import Found, refuse_choice, without_doubles

LOOKS_FOR = "dataset.json with a training list of {image, label}"


def recognise(folder: Path) -> bool:
    """Whether there is a ``dataset.json`` with a ``training`` list."""
    path = folder / NAME
    return path.is_file() and isinstance(read_json(path).get("training"), list)


def scan(folder: Path, *, reference: str | None = None) -> Found:
    """Find the training pairs; a 4D image holds all channels of its case. Test images are left out, and said so.

    Raises:
        FormatError: ``dataset.json`` is missing a key or holds something of the wrong kind.

    Source: Antonelli et al., Nature Communications 13:4128 (2022), https://doi.org/10.1038/s41467-022-30695-9.
    """
    refuse_choice("decathlon", reference)
    content = read_json(folder / NAME)
    channels = declared_channels(content, "modality")
    records: list[Record] = []
    left_out: list[LeftOut] = []
    used: list[Path] = []
    for number, entry in enumerate(content["training"]):
        paths = [entry.get("image"), entry.get("label")] if isinstance(entry, dict) else [None]
        if not all(isinstance(path, str) and path for path in paths):
            raise FormatError(f'{NAME}: entry {number} of "training" must be {{"image": file, "label": file}}')
        image, label = (folder / str(path) for path in paths)
        used += [image, label]
        missing = [path.name for path in (image, label) if not path.exists()]
        if missing:
            left_out.append(LeftOut(stem(image), f"missing file: {', '.join(missing)}"))
        else:
            records.append(Record(stem(image), (image,), label))
    records = without_doubles(records, left_out)
    left_out += leftovers(folder, used, 'not listed as "training" in dataset.json')
    return Found(tuple(records), channels, declared=True, labels=declared_labels(content), left_out=tuple(left_out))
