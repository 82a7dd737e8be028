"""Burnt-in text in DICOM pixels: found and blacked out, with the other places of pixel data where text can hide."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
)

from vesalius.errors import FormatError, MissingDependencyError
from vesalius.privacy.findings import Findings
from vesalius.privacy.ocr import Piece, black_out, find_text
from vesalius.privacy.pictures import strip_jpeg
from vesalius.privacy.slices import FEWEST, black_out_slices, judge

_NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian)
_JPEG = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1)
_PALETTE = "PALETTE COLOR"
_LARGEST = 16 << 30  # bytes that pixels may decode to
_TABLES = ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")
_TOMOGRAPHIC = ("CT", "MR", "PT", "NM")
_ROUNDS = 3
_UNSEEN = "its pixels cannot be decoded, so that nobody has looked at them"
_UNREADABLE = "text in its pixels could not be read with certainty or came back"
_BLACKED = "blacked out burnt-in text in"
PASSED_OVER = "left a lone sign of text amid anatomy, which is none by all that can be told"
_DOCUMENTS = ("EncapsulatedDocument", "WaveformSequence", "SpectroscopyData")


def is_slice(dataset: Dataset) -> bool:
    """Whether an object is one slice of a tomographic series, whose slices are judged together."""
    return (
        str(dataset.get("Modality") or "") in _TOMOGRAPHIC
        and "PixelData" in dataset
        and _frames(dataset) == 1
        and int(dataset.get("SamplesPerPixel") or 1) == 1
        and "ImagePositionPatient" in dataset
    )


def find_in_slice(dataset: Dataset) -> tuple[tuple[Piece, ...], Findings]:
    """What looks like text in a slice, to be judged with those of its series; nothing is changed.

    Returns:
        The pieces, and a doubt where the pixels cannot be decoded.

    Raises:
        MissingDependencyError: RapidOCR is not installed.
    """
    try:
        return find_text(_frame(dataset)), Findings()
    except MissingDependencyError:
        raise
    except Exception:  # as in `clean_pixels`
        return (), Findings(doubts=(_UNSEEN,))


def black_out_series(
    datasets: Sequence[Callable[[], Dataset]], found: Sequence[tuple[Piece, ...]]
) -> tuple[dict[int, Dataset], dict[int, Findings]]:
    """Black out the text in the slices of a series, judged together.

    Args:
        datasets: Read the slices, in the order of space.
        found: What `find_in_slice` found in each.

    Returns:
        The slices that were changed, by their number, and what is to be said of those and of others; doubts are of the
        whole series.
    """

    def pixels_of(number: int) -> NDArray[Any]:
        return _frame(made[number] if number in made else datasets[number]())

    made: dict[int, Dataset] = {}
    said: dict[int, Findings] = {}
    pieces = list(found)
    for _ in range(_ROUNDS):
        verdict = judge(pieces, pixels_of)
        for number in verdict.doubtful:
            said[number] = said.get(number, Findings()) + Findings(doubts=(_UNREADABLE,))
        if not verdict.masks:
            break
        for number, mask in verdict.masks.items():
            dataset = made.get(number) or datasets[number]()
            frame = _frame(dataset)
            inverted = str(dataset.PhotometricInterpretation) == "MONOCHROME1"
            frame[mask] = frame.max() if inverted else frame.min()
            _rewrite(dataset, [frame], UID(dataset.file_meta.TransferSyntaxUID))
            made[number], pieces[number] = dataset, find_text(frame)
            said[number] = said.get(number, Findings()) + Findings((f"{_BLACKED} 1 of 1 frames",))
    else:
        verdict = judge(pieces, pixels_of)
        for number in verdict.masks:
            said[number] = said.get(number, Findings()) + Findings(doubts=(_UNREADABLE,))
    for number in verdict.passed_over:
        said[number] = said.get(number, Findings()) + Findings((PASSED_OVER,))
    return made, said


def _frame(dataset: Dataset) -> NDArray[Any]:
    return np.array(next(iter(iter_pixels(dataset))))


def clean_pixels(dataset: Dataset, *, read: bool = True) -> tuple[Dataset, Findings]:
    """Black out the text that is burnt into an image, and remove what else hides in its pixel data.

    Every frame is looked at, whatever ``BurnedInAnnotation`` says, and looked at again after the text was blacked out.
    Where none is found the pixels stay as they are stored, compressed or not. Where some is found the image is
    decompressed and stays so: compressing with loss anew would change the rest of it. Bits beside the stored ones
    (overlays of old), bytes behind the pixels, comments in JPEG frames and the icon go in any case.

    Args:
        dataset: An image as pydicom reads it; it is not changed. Its file meta must tell the transfer syntax.
        read: Whether to look for text; not for a slice that is judged with its series (`black_out_series`).

    Returns:
        The cleaned data set, and what was done. With a doubt (text that could hardly be read, text that came back,
        pixels that cannot be decoded, a document or video) the image is for a person to look at.

    Raises:
        MissingDependencyError: RapidOCR is not installed.

    Example:
        >>> clean_pixels(Dataset())[1]
        Findings(actions=(), doubts=())

    Source: DICOM PS3.15 E.3.1, Clean Pixel Data Option: ``BurnedInAnnotation`` is NO afterwards.
    """
    made = copy.copy(dataset)
    made._dict = dict(dataset._dict)  # pydicom's copy shares it
    actions: list[str] = []
    if "IconImageSequence" in made:
        del made.IconImageSequence
        actions.append("removed the icon of the image")
    if any(keyword in made for keyword in _DOCUMENTS):
        return made, Findings(
            tuple(actions), ("it holds a document, a curve or a spectrum, which cannot be looked at",)
        )
    pixels = [name for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData") if name in made]
    if not pixels:
        return made, Findings(tuple(actions))
    syntax = _syntax(made)
    if syntax is None:
        return made, Findings(
            tuple(actions), ("its transfer syntax is unknown, so that its pixels cannot be looked at",)
        )
    try:
        if pixels == ["PixelData"]:
            actions += _without_stowaways(made, syntax)
        more = _without_text(made, syntax, whole=pixels == ["PixelData"]) if read else Findings()
    except MissingDependencyError:
        raise
    except Exception:  # pydicom and its plugins raise a dozen types on damaged pixels, with raw values in their texts
        return made, Findings(tuple(actions), (_UNSEEN,))
    found = Findings(tuple(actions)) + more
    if found.sure:
        _put(made, "BurnedInAnnotation", "NO")
    return made, found


def _syntax(dataset: Dataset) -> UID | None:
    meta = getattr(dataset, "file_meta", None)
    syntax = None if meta is None else meta.get("TransferSyntaxUID")
    return None if syntax is None else UID(syntax)


def _without_stowaways(dataset: Dataset, syntax: UID) -> list[str]:
    """Drop what stands in the pixel data and is no pixel."""
    if syntax in _JPEG:
        return _without_comments(dataset)
    if syntax not in _NATIVE:
        return []
    actions = []
    allocated, stored = int(dataset.BitsAllocated), int(dataset.BitsStored)
    samples = 2 if dataset.PhotometricInterpretation == "YBR_FULL_422" else int(dataset.SamplesPerPixel)
    bits = int(dataset.Rows) * int(dataset.Columns) * samples * allocated * _frames(dataset)
    needed = -(-bits // 8)
    value: bytes = dataset.PixelData
    if len(value) < needed:
        raise FormatError("the pixels are cut off")
    if value[needed:].strip(b"\0"):
        actions.append("removed bytes behind the pixels")
    value = value[:needed] + bytes(needed % 2)
    if allocated in (8, 16, 32) and 0 < stored < allocated and int(dataset.HighBit) == stored - 1:
        order = ">" if syntax == ExplicitVRBigEndian else "<"
        kind = "i" if int(dataset.PixelRepresentation) else "u"
        raw = np.frombuffer(value, f"{order}{kind}{allocated // 8}", needed * 8 // allocated)
        spare = allocated - stored
        # Up and down again: what is above the stored bits becomes the sign, or nothing.
        cleared = (raw << spare) >> spare
        if not np.array_equal(cleared, raw):
            actions.append("cleared the bits beside the stored ones")
            value = cleared.astype(raw.dtype).tobytes() + bytes(needed % 2)
    if value != dataset.PixelData:
        _store(dataset, value)
    return actions


def _without_comments(dataset: Dataset) -> list[str]:
    frames = list(generate_frames(dataset.PixelData, number_of_frames=_frames(dataset)))
    stripped = [strip_jpeg(frame) for frame in frames]
    if not any(removed for _, removed in stripped):
        return []
    for keyword in _TABLES:
        if keyword in dataset:
            del dataset[keyword]
    _store(dataset, encapsulate([data + bytes(len(data) % 2) for data, _ in stripped]))
    return ["removed comments from the JPEG frames"]


def _without_text(dataset: Dataset, syntax: UID, *, whole: bool) -> Findings:
    frames = _frames(dataset)
    cell = -(-int(dataset.get("BitsAllocated", 64)) // 8)
    if int(dataset.Rows) * int(dataset.Columns) * int(dataset.SamplesPerPixel) * cell * frames > _LARGEST:
        return Findings(doubts=("its pixels are too many to be looked at",))
    palette = apply_color_lut(np.arange(256 if cell == 1 else 65536), dataset) if _is_palette(dataset) else None
    black = _black(dataset, palette)
    made: list[NDArray[Any]] = []
    changed, certain = 0, True
    if frames >= FEWEST and palette is None and str(dataset.get("Modality") or "") in _TOMOGRAPHIC:
        return _without_text_in_stack(dataset, syntax, whole=whole)
    for frame in _decoded(dataset):
        shown = None if palette is None else _seen(palette[frame])
        at = float(frame.min()) if black is None else black
        # In images of the other sense the greatest value shows black.
        at = float(frame.max()) if str(dataset.PhotometricInterpretation) == "MONOCHROME1" else at
        cleaned, where, is_certain = black_out(frame, black=at, shown=shown)
        certain = certain and is_certain
        changed += bool(where.any())
        made.append(cleaned)
    doubts = () if certain else (_UNREADABLE,)
    return _stored(dataset, made, changed, syntax, doubts=doubts, whole=whole)


def _without_text_in_stack(dataset: Dataset, syntax: UID, *, whole: bool) -> Findings:
    """The frames of one object that are slices: judged together."""
    inverted = str(dataset.PhotometricInterpretation) == "MONOCHROME1"
    frames = [np.array(frame) for frame in _decoded(dataset)]
    made, verdict = black_out_slices(frames, [float(frame.max() if inverted else frame.min()) for frame in frames])
    doubts = (_UNREADABLE,) if verdict.doubtful else ()
    passed = Findings((PASSED_OVER,) if verdict.passed_over else ())
    return _stored(dataset, made, len(verdict.masks), syntax, doubts=doubts, whole=whole) + passed


def _stored(
    dataset: Dataset, made: list[NDArray[Any]], changed: int, syntax: UID, *, doubts: tuple[str, ...], whole: bool
) -> Findings:
    if not changed:
        return Findings(doubts=doubts)
    if not whole or int(dataset.BitsAllocated) not in (8, 16, 32):
        return Findings(doubts=("text seems to be burnt into pixels that are no picture", *doubts))
    _rewrite(dataset, made, syntax)
    return Findings((f"{_BLACKED} {changed} of {len(made)} frames",), doubts)


def _decoded(dataset: Dataset) -> Iterator[NDArray[Any]]:
    yield from iter_pixels(dataset)


def _rewrite(dataset: Dataset, frames: Iterable[NDArray[Any]], syntax: UID) -> None:
    """Store decoded frames, uncompressed; a big-endian file stays one."""
    order: Literal["<", ">"] = ">" if syntax == ExplicitVRBigEndian else "<"
    value = b"".join(frame.astype(frame.dtype.newbyteorder(order), copy=False).tobytes() for frame in frames)
    for keyword in _TABLES:
        if keyword in dataset:
            del dataset[keyword]
    if int(dataset.SamplesPerPixel) == 3:
        _put(dataset, "PlanarConfiguration", 0)
        _put(dataset, "PhotometricInterpretation", "RGB")  # so they were decoded
    if syntax not in _NATIVE:
        # The file meta is shared with the data set that was given, which must not change.
        dataset.file_meta = copy.deepcopy(dataset.file_meta)
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    _store(dataset, value + bytes(len(value) % 2), is_native=True)


def _store(dataset: Dataset, value: bytes, *, is_native: bool = False) -> None:
    old = dataset["PixelData"]
    vr = ("OW" if int(dataset.BitsAllocated) > 8 else "OB") if is_native else old.VR
    del dataset["PixelData"]
    dataset.add_new(0x7FE00010, vr, value)
    dataset["PixelData"].is_undefined_length = False if is_native else old.is_undefined_length


def _put(dataset: Dataset, keyword: str, value: Any) -> None:
    """Set an element anew: the one that is there belongs to the data set that was given too."""
    if keyword in dataset:
        del dataset[keyword]
    setattr(dataset, keyword, value)


def _frames(dataset: Dataset) -> int:
    return max(int(dataset.get("NumberOfFrames") or 1), 1)


def _is_palette(dataset: Dataset) -> bool:
    return str(dataset.get("PhotometricInterpretation", "")) == _PALETTE


def _seen(colours: NDArray[Any]) -> NDArray[Any]:
    return (colours >> 8).astype(np.uint8) if colours.dtype == np.uint16 else colours


def _black(dataset: Dataset, palette: NDArray[Any] | None) -> float | None:
    """The stored value that shows black, where it does not depend on the frame."""
    if palette is not None:
        return float(palette.astype(np.int64).sum(axis=-1).argmin())
    return 0.0 if int(dataset.SamplesPerPixel) == 3 else None
