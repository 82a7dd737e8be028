"""Pictures: PNG, JPEG and BMP; GIF and Netpbm (PPM, PGM, PBM) are read only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
)

from vesalius.errors import FormatError
from vesalius.image import Grid, Meta
from vesalius.io.atomic import atomic_path
from vesalius.io.contents import Contents, refuse_geometry
from vesalius.io.stream import refuse_unholdable

# The decoders are called by name: Pillow's own `open` would try dozens of formats on hostile bytes, and its guard
# against bombs is a warning with a process-wide limit. `_refuse_bomb` stands in for it.
_DECODERS: dict[bytes, tuple[str, type[ImageFile.ImageFile]]] = {
    b"\x89PNG\r\n\x1a\n": ("PNG", PngImagePlugin.PngImageFile),
    b"\xff\xd8\xff": ("JPEG", JpegImagePlugin.JpegImageFile),
    b"BM": ("BMP", BmpImagePlugin.BmpImageFile),
    b"GIF8": ("GIF", GifImagePlugin.GifImageFile),
    **{b"P%d" % kind: ("Netpbm", PpmImagePlugin.PpmImageFile) for kind in range(1, 7)},
}
_WRITERS: dict[str, Literal["PNG", "JPEG", "BMP"]] = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP"}
_MOST_PIXELS_A_BYTE = {
    "PNG": 8 * 1032,  # a bit a pixel, deflated at most 1032 times. Source: zlib.net/zlib_tech.html
    "JPEG": 1024,  # a bit or more for each 8 x 8 block of the luminance, doubled to be safe. Source: ITU-T T.81
    "BMP": 1024,
    "GIF": 2731,  # LZW: a code of 12 bits for at most 4096 pixels. Source: GIF89a specification, appendix F
    "Netpbm": 8,  # a bit a pixel, not compressed. Source: netpbm.sourceforge.net/doc
}
_ORIENTATION = 0x0112  # EXIF
_JPEG_QUALITY = 95


def read(path: Path) -> Contents:
    """Read a picture: one channel for grey (8 or 16 bits, or 0 and 1), three for colour.

    Index i runs to the right and j down. The format is known by its content. Alpha is dropped, palettes become
    their colours (grey, when all are grey), and what was decided stands in the notes.

    Raises:
        FormatError: It is none of these formats, cut off, damaged, or declares more than it can hold.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("RGB", (7, 5)).save(Path(folder) / "a.png")  # 7 columns, 5 rows
        ...     read(Path(folder) / "a.png").array.shape
        (3, 7, 5)
    """
    with path.open("rb") as file:
        start = file.read(26)
        file.seek(0)
        found = next((known for mark, known in _DECODERS.items() if start.startswith(mark)), None)
        if found is None:
            raise FormatError("not a PNG, JPEG, BMP, GIF or Netpbm picture")
        name, decoder = found
        try:
            picture = decoder(file)
            _refuse_bomb(picture, name, path.stat().st_size)
            several = bool(getattr(picture, "is_animated", False))
            picture.load()
            orientation = picture.getexif().get(_ORIENTATION, 1)
        except FormatError:
            raise
        except Exception as error:  # Pillow's decoders raise a dozen types on damaged bytes
            raise FormatError(f"the {name} is damaged or cut off ({type(error).__name__}): fetch it again") from error
    contents = _contents(picture)
    notes = list(contents.meta.notes)
    if orientation != 1:
        notes.append(f"EXIF orientation {orientation} was not applied; pixels are as stored.")
    if several:
        notes.append("Of several pictures in the file the first was read.")
    if name == "PNG" and start[24] == 16 and start[25] != 0:
        notes.append("16-bit colour was read as 8 bits.")
    return replace(contents, meta=replace(contents.meta, notes=tuple(notes)))


def write(contents: Contents, path: Path) -> None:
    """Write a picture; see `vesalius.io.write`.

    PNG holds 8- and 16-bit grey and 8-bit colour, BMP 8-bit grey and colour. JPEG loses detail: it is written
    for 8-bit images only, at quality 95, and never for label maps.

    Raises:
        FormatError: The format cannot hold these values or this shape.
        GeometryError: The grid has a place in space.
    """
    name = _WRITERS.get(path.suffix.lower())
    if name is None:
        raise FormatError(f"{path.suffix.lower()} is only read; write .png")
    array = contents.array.astype(np.uint8) if contents.array.dtype == bool else contents.array
    if name == "JPEG" and contents.labels is not None:
        raise FormatError("JPEG changes values, and a label map must not change; write .png")
    if contents.grid.ndim != 2:
        raise FormatError(f"{name} holds a single picture, not a volume; write .nii.gz or .tif")
    refuse_geometry(contents, name)
    allowed = {(1, "uint8"), (3, "uint8")} | ({(1, "uint16")} if name == "PNG" else set())
    if (len(array), array.dtype.name) not in allowed:
        kinds = ", ".join(f"{channels} x {dtype}" for channels, dtype in sorted(allowed))
        raise FormatError(f"{name} holds {kinds}, not {len(array)} x {array.dtype}; write .tif or .npz")
    rows = np.ascontiguousarray(array.T[..., 0] if len(array) == 1 else array.T)
    options: dict[str, Any] = {"quality": _JPEG_QUALITY, "subsampling": 0} if name == "JPEG" else {}
    with atomic_path(path) as temporary:
        Image.fromarray(rows).save(temporary, format=name, **options)


def _refuse_bomb(picture: ImageFile.ImageFile, name: str, file_size: int) -> None:
    width, height = picture.size
    if width * height > file_size * _MOST_PIXELS_A_BYTE[name]:
        raise FormatError(
            f"its header declares {width} x {height} pixels, more than {file_size:,} bytes can hold; "
            "it is cut off or its header is wrong"
        )
    refuse_unholdable(width * height * 4)


def _contents(image: Image.Image) -> Contents:
    notes: list[str] = []
    indices: NDArray[Any] | None = None
    if image.mode in ("P", "PA"):
        indices = np.asarray(image.getchannel(0) if image.mode == "PA" else image).T
        image = image.convert("RGB")
        red, green, blue = np.moveaxis(np.asarray(image), -1, 0)
        if np.array_equal(red, green) and np.array_equal(red, blue):
            image = image.getchannel(0)
        notes.append("Palette entries became their colours.")
    elif image.mode in ("CMYK", "YCbCr"):
        notes.append(f"{image.mode} was converted to RGB.")
        image = image.convert("RGB")
    # Not the boolean array that Pillow offers: its true is 255.
    pixels = np.asarray(image) if image.mode != "1" else np.asarray(image.convert("L")) // 255
    if image.mode in ("LA", "RGBA", "La", "RGBa"):
        notes.append("The alpha channel was dropped.")
        pixels = pixels[..., :-1]
    array = pixels.T if pixels.ndim == 3 else pixels.T[None]
    grid = Grid(array.shape[1:], np.eye(3))
    meta = Meta(modality="RGB" if len(array) == 3 else "OT", calibrated=False, notes=tuple(notes))
    return Contents(array, grid, meta, indices=indices)
