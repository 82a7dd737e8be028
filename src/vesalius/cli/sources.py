"""The images that a verb is to segment, and the files of their results."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vesalius.image import LeftOut


@dataclass(frozen=True)
class Source:
    """An image to segment: its name and its files."""

    name: str
    images: tuple[Path, ...]

    @property
    def ending(self) -> str:
        """Labels go into a format that loses nothing: pictures to PNG, volumes to what they came in."""
        from vesalius.io import PICTURES, format_of

        ending = None if self.images[0].is_dir() else format_of(self.images[0])
        if ending in (".tif", ".tiff"):
            return ".tif"
        if ending in PICTURES:
            return ".png"
        return ending if ending in (".nrrd", ".mha", ".npz") else ".nii.gz"


def find_targets(sources: Sequence[Source], out: Path, *, resume: bool) -> tuple[list[Path], bool]:
    """The file of each result, and whether they go to a folder, which may then keep a journal.

    A place that cannot be right is refused before anything is computed.
    """
    from vesalius.errors import DataError, FormatError
    from vesalius.io import format_of

    suffix = None if out.is_dir() else format_of(out)
    if suffix is None and not out.exists() and _looks_like_a_suffix(out.suffix):
        raise FormatError(
            f"{out.name}: {out.suffix} is no format for results; choose .nii.gz, .nrrd, .mha, .npz, .png or .dcm, "
            "or make the folder first if it is one"
        )
    if suffix is not None and len(sources) > 1:
        raise DataError(f"{out.name} names one file, and there are {len(sources)} images: name a folder")
    if suffix is not None and resume:
        raise DataError(f"--resume goes on with a folder of results, and {out.name} names a file: name a folder")
    folder = out if suffix is None else out.parent
    standing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not standing.is_dir():
        raise DataError(f"{standing.name} is a file; the results need a folder")
    targets = [out if suffix is not None else out / f"{one.name}{one.ending}" for one in sources]
    twice = sorted({target.name for target in targets if targets.count(target) > 1})
    if twice:
        raise DataError(f"several images would be written to one file ({', '.join(twice[:5])}): segment them apart")
    images = {path.resolve() for one in sources for path in one.images}
    replaced = [target.name for target in targets if target.resolve() in images]
    if replaced:
        raise DataError(f"the result would replace the image {replaced[0]} itself: choose another folder")
    return targets, suffix is None


def find_sources(
    args: argparse.Namespace, channels: int, left_out: list[LeftOut], broken: list[dict[str, Any]]
) -> Iterator[Source]:
    """What is to be segmented, images of some channels.

    What a folder holds beside it goes to ``left_out``. Of several folders, those that cannot be made out go to
    ``broken``; one alone is an error.
    """
    from vesalius.errors import DataError
    from vesalius.io import read
    from vesalius.io.layouts import index

    paths = [Path(p) for p in args.images]
    for path in paths:
        if not path.exists():
            raise DataError(f"{path.name}: there is no such file or folder")
    # As many files as channels are one image, unless they are as many colour pictures.
    if channels > 1 and len(paths) == channels and all(p.is_file() and read(p).channels == 1 for p in paths):
        yield Source(_stem(paths[0]), tuple(paths))
        return
    for path in paths:
        if path.is_file() or _is_series(path):
            yield Source(_stem(path), (path,))
            continue
        try:
            dataset = index(path, args.layout, check=False)
        except DataError as error:
            told = DataError(f"{error}\nIf it holds images all the same, name each of them")
            if len(paths) == 1:
                raise told from None
            broken.append({"image": path.name, "error": str(told)})
            continue
        left_out += dataset.left_out
        for record in dataset.records:
            yield Source(record.id, record.images)


def _is_series(folder: Path) -> bool:
    """Whether a folder is one DICOM image rather than a folder of images."""
    from vesalius.io.layouts.files import find_images

    return find_images(folder) == (folder,)


def _looks_like_a_suffix(text: str) -> bool:
    """Whether a name with this end is rather a file's than a folder's: results.gzz, but neither run.2 nor run.final."""
    return text[1:].isalpha() and len(text) <= 4


def _stem(path: Path) -> str:
    from vesalius.io.layouts.files import stem

    return stem(path)
