"""Burnt-in text in pictures and volumes that are not DICOM: blacked out, and nothing else touched."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin, PngImagePlugin

from vesalius.errors import MissingDependencyError
from vesalius.io import metaimage, npy, nrrd, raster, tiff
from vesalius.io.atomic import write_bytes
from vesalius.io.contents import Contents
from vesalius.privacy import nifti
from vesalius.privacy.findings import Findings
from vesalius.privacy.ocr import black_out
from vesalius.privacy.pictures import graft_png, orientation_of, strip_png
from vesalius.privacy.slices import FEWEST, black_out_slices
from vesalius.privacy.text import PASSED_OVER

_DOUBT = "text that may be burnt into the picture could not be read with certainty or came back"
_CANNOT = "text seems to be burnt into the picture, and it is of a kind that cannot be written again without loss"
_LARGEST = 8 << 30  # bytes of voxels that are looked at
_DEPTH = 24  # where a PNG says how many bits a sample has
_COARSER = 1.2  # times the other spacings, from which on an axis is the one across the slices
_KEPT_AS_THEY_ARE = ("L", "RGB", "RGBA", "LA", "I;16", "1", "P")

Frame = NDArray[Any]


def clean_burnt(path: Path) -> Findings:
    """Black out the text that is burnt into a picture or volume which `clean_file` has written; it is replaced.

    Pictures and the pages of a TIFF are looked at one by one. The planes of a volume, along its third axis, are judged
    together from five on, as the slices of a DICOM series are (`vesalius.privacy.slices`). Where nothing is found the
    file keeps every bit. PNG, BMP, TIFF and volumes are written again with the same values elsewhere. A JPEG would
    lose more by being compressed anew: it becomes a PNG of its decoded values, beside the JPEG's place.

    Args:
        path: The file; of a pair the header.

    Returns:
        What was done; with a doubt the file is not to be handed on. Files of other kinds are left as they are.

    Raises:
        MissingDependencyError: RapidOCR is not installed.
        VesaliusError: The system refused to write.
    """
    name = path.name.lower()
    cleaner = next((found for ending, found in _CLEANERS.items() if name.endswith(ending)), None)
    if cleaner is None:
        return Findings()
    try:
        return cleaner(path)
    except MissingDependencyError:
        raise
    except MemoryError:
        return Findings(doubts=("it does not fit in memory",))


def _clean_png(path: Path) -> Findings:
    data = path.read_bytes()
    picture = PngImagePlugin.PngImageFile(io.BytesIO(data))
    picture.load()
    made, found = _picture(picture)
    if made is None:
        return found
    held = io.BytesIO()
    made.save(held, "PNG")
    cleaned, _ = strip_png(graft_png(data, held.getvalue()))
    # Of 16 bits in colour, and of 2 or 4 in grey, Pillow decodes other values than are stored.
    is_exact = data[_DEPTH] in (1, 8) or picture.mode == "P" or picture.mode.startswith("I;16")
    if not (is_exact and _shows(cleaned, made)):
        return Findings(doubts=(_CANNOT,))
    write_bytes(path, cleaned)
    return found


def _shows(data: bytes, made: Image.Image) -> bool:
    """Whether a PNG holds what was meant."""
    after: Image.Image = PngImagePlugin.PngImageFile(io.BytesIO(data))
    after.load()
    if made.mode == "P":
        after, made = after.convert("RGB"), made.convert("RGB")
    return after.mode == made.mode and np.array_equal(np.asarray(after), np.asarray(made))


def _clean_jpeg(path: Path) -> Findings:
    picture: Image.Image = JpegImagePlugin.JpegImageFile(io.BytesIO(path.read_bytes()))
    orientation = orientation_of(picture)
    picture.load()
    made, found = _picture(picture)
    if made is None:
        return found
    held = io.BytesIO()
    made.save(held, "PNG", **({"exif": orientation} if orientation else {}))
    write_bytes(path.with_suffix(".png"), strip_png(held.getvalue())[0])
    path.unlink()
    said = "stored its decoded pixels as PNG: compressing the JPEG anew would have changed the rest of it"
    return found + Findings((said,))


def _picture(picture: Image.Image) -> tuple[Image.Image | None, Findings]:
    """The picture without its text; ``None`` where there is none or it is in doubt."""
    if picture.mode not in _KEPT_AS_THEY_ARE:
        _, where, sure = black_out(np.asarray(picture.convert("RGB")))
        return None, Findings(doubts=(_CANNOT,)) if where.any() or not sure else Findings()
    pixels = np.asarray(picture.convert("L") if picture.mode == "1" else picture)
    shown, black, where, sure = pixels, np.zeros(1, pixels.dtype), np.zeros(pixels.shape[:2], np.bool_), True
    if picture.mode == "P":
        shown = np.asarray(picture.convert("RGB"))
        colours = np.array(picture.getpalette("RGB"), np.int64).reshape(-1, 3)
        black = np.array([colours.sum(axis=1).argmin()], pixels.dtype)
    elif picture.mode in ("LA", "RGBA"):
        # Colours that alpha hides are there all the same, and alpha may be drawn like letters itself.
        _, where, sure = black_out(np.ascontiguousarray(pixels[..., -1]))
        shown = np.ascontiguousarray(pixels[..., 0] if picture.mode == "LA" else pixels[..., :3])
        black = np.array([0] * (pixels.shape[-1] - 1) + [255], pixels.dtype)
    _, more, certain = black_out(shown)
    where = where | more
    if not (sure and certain):
        return None, Findings(doubts=(_DOUBT,))
    if not where.any():
        return None, Findings()
    made = pixels.copy()
    made[where] = black if made.ndim == len("xyc") else black[0]
    out = Image.fromarray(made)
    if picture.mode == "1":
        out = out.convert("1", dither=Image.Dither.NONE)
    elif picture.mode == "P":
        out = Image.frombytes("P", picture.size, made.tobytes())
        out.putpalette(picture.getpalette("RGB") or [])
    return out, Findings(("blacked out burnt-in text in the picture",))


def _clean_stack(module: Any) -> Callable[[Path], Findings]:
    """For a format that is written anew as it was cleaned: `vesalius.privacy.files` has made it canonical."""

    def clean(path: Path) -> Findings:
        contents: Contents = module.read(path)
        is_colour = contents.meta.modality == "RGB" and len(contents.array) == len("RGB")
        array, found = _volume(contents.array, contents.grid.spacing_mm, is_colour=is_colour)
        if array is not None:
            module.write(replace(contents, array=array), path)
        return found

    return clean


def _clean_nifti(path: Path) -> Findings:
    said = Findings()

    def change(array: Frame, spacing: tuple[float, ...], is_colour: bool, is_inverted: bool) -> Frame | None:
        nonlocal said
        made, said = _volume(array, spacing, is_colour=is_colour, is_inverted=is_inverted)
        return made

    nifti.change_voxels(path, change)
    return said


def _volume(
    array: Frame, spacing: tuple[float, ...], *, is_colour: bool, is_inverted: bool = False
) -> tuple[Frame | None, Findings]:
    """The planes of an array ``(c, i, j[, k])`` without their text; ``None`` where none has any, or in doubt."""
    if array.nbytes > _LARGEST or array.dtype.kind == "c":
        return None, Findings(doubts=("its voxels are too many, or of a kind that cannot be looked at",))
    along = _slice_axis(spacing)
    planes = np.moveaxis(array[..., None] if array.ndim == len("cij") else array, 1 + along, -1)
    made = planes.copy()
    changed: set[int] = set()
    sure, passed = True, False
    for channel in [slice(None)] if is_colour else [slice(c, c + 1) for c in range(len(planes))]:
        frames = [_frame(planes[channel, ..., k]) for k in range(planes.shape[-1])]
        least = [float(frame.max() if is_inverted else 0 if is_colour else frame.min()) for frame in frames]
        if len(frames) >= FEWEST and not is_colour:
            _, verdict = black_out_slices(frames, least)
            masks, passed = verdict.masks, passed or bool(verdict.passed_over)
            sure = sure and not verdict.doubtful
        else:
            found = [black_out(frame, black=black) for frame, black in zip(frames, least, strict=True)]
            masks = {k: where for k, (_, where, _) in enumerate(found) if where.any()}
            sure = sure and all(certain for _, _, certain in found)
        changed |= set(masks)
        for k, mask in masks.items():
            made[channel, ..., k][:, mask.T] = least[k]
    if not sure:
        return None, Findings(doubts=(_DOUBT,))
    actions = (PASSED_OVER,) if passed else ()
    if not changed:
        return None, Findings(actions)
    said = f"blacked out burnt-in text in {len(changed)} of {planes.shape[-1]} planes"
    return np.moveaxis(made, -1, 1 + along).reshape(array.shape), Findings((said, *actions))


def _slice_axis(spacing: tuple[float, ...]) -> int:
    """The axis across the planes that were acquired: the coarsest, where one is, and else the third."""
    if len(spacing) < len("ijk"):
        return len(spacing)
    coarsest = int(np.argmax(spacing[:3]))
    return coarsest if spacing[coarsest] >= _COARSER * sorted(spacing[:3])[1] else 2


def _frame(plane: Frame) -> Frame:
    """A plane ``(c, i, j)`` as ``(rows, columns)`` or ``(rows, columns, colours)``, without what is no number."""
    turned = np.ascontiguousarray(plane.T if len(plane) > 1 else plane[0].T)
    if turned.dtype.kind != "f" or np.isfinite(turned).all():
        return turned
    finite = turned[np.isfinite(turned)]
    return np.where(np.isfinite(turned), turned, finite.min() if finite.size else 0)


_CLEANERS: dict[str, Callable[[Path], Findings]] = {
    ".nii": _clean_nifti,
    ".nii.gz": _clean_nifti,
    ".hdr": _clean_nifti,
    ".nrrd": _clean_stack(nrrd),
    ".nhdr": _clean_stack(nrrd),
    ".mha": _clean_stack(metaimage),
    ".mhd": _clean_stack(metaimage),
    ".npy": _clean_stack(npy),
    ".npz": _clean_stack(npy),
    ".tif": _clean_stack(tiff),
    ".tiff": _clean_stack(tiff),
    ".bmp": _clean_stack(raster),
    ".png": _clean_png,
    ".jpg": _clean_jpeg,
    ".jpeg": _clean_jpeg,
}
