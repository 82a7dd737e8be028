"""Pictures that follow one another, written as an animation: GIF, or a video."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, FormatError, unknown_name
from vesalius.io.atomic import atomic_path
from vesalius.io.footage.video import CODECS, new_video

ANIMATIONS = (".gif", *CODECS)
"""What can be written, by extension."""

FASTEST_HZ = 50
"""Pictures a second: a GIF's viewers show none for a shorter time."""

_COLOURS = 256  # of a GIF
_LOOKED_AT = 1_000_000  # pixels of which a GIF's colours are chosen
_PLAYED = {".mp4": "vp09"}  # VP9 is what browsers play of that which OpenCV's wheels write; it takes its time
_EVEN = {".mp4"}  # colours are kept for blocks of four pixels


def write_animation(
    pictures: Sequence[NDArray[np.uint8]],
    path: str | os.PathLike[str],
    *,
    rate_hz: float = 12.0,
    kept: Sequence[tuple[int, int, int]] = (),
) -> None:
    """Write pictures as an animation, whole or not at all; a GIF begins again when it ends.

    A GIF has 256 colours: greys are kept as they are, colours become the nearest of those that fit all pictures best,
    so that nothing flickers. Its bytes depend on the pictures alone: no time, no name. An MP4 holds VP9, which browsers
    play.

    Args:
        pictures: ``(rows, columns, 3)`` each, all of one shape, at least one.
        path: The extension is one of `ANIMATIONS`.
        rate_hz: Pictures a second, above 0 and at most 50. A GIF's are shown for whole hundredths of a second.
        kept: Colours that a coloured GIF must have, those of a legend for example: what is small in the pictures would
            not count else. Of more than 128 the first.

    Raises:
        DataError: There is no picture, the shapes differ, or the rate is out of range.
        FormatError: The extension is of no animation, or the codec refuses the size.
        MissingDependencyError: A video needs OpenCV.
        VesaliusError: The system refused to write.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> shots = [np.full((4, 6, 3), grey, np.uint8) for grey in (0, 100, 200)]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_animation(shots, folder + "/a.gif")
        ...     with Image.open(folder + "/a.gif") as made:
        ...         made.n_frames, made.size
        (3, (6, 4))

    Source: GIF89a specification, sections 23 (delay in 1/100 s) and 19 (256 colours).
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in ANIMATIONS:
        raise FormatError(f"cannot write {target.name}: {unknown_name('animation', suffix, ANIMATIONS)}")
    if not 0 < rate_hz <= FASTEST_HZ:
        raise DataError(f"an animation shows above 0 and at most {FASTEST_HZ} pictures a second, not {rate_hz:g}")
    shapes = {picture.shape for picture in pictures}
    if len(shapes) != 1 or len(pictures[0].shape) != 3 or pictures[0].shape[2] != 3:
        raise DataError(f"an animation needs one picture or more, all of one shape (rows, columns, 3), not {shapes}")
    if suffix == ".gif":
        _write_gif(pictures, target, rate_hz, list(dict.fromkeys(kept))[: _COLOURS // 2])
        return
    rows, columns, _ = pictures[0].shape
    more = (rows % 2, columns % 2) if suffix in _EVEN else (0, 0)
    with new_video(target, (columns + more[1], rows + more[0]), rate_hz, codec=_PLAYED.get(suffix)) as add:
        for picture in pictures:
            add(np.pad(picture, ((0, more[0]), (0, more[1]), (0, 0)), "edge"))


def _write_gif(
    pictures: Sequence[NDArray[np.uint8]], path: Path, rate_hz: float, kept: Sequence[tuple[int, int, int]]
) -> None:
    from PIL import Image

    if all((picture == picture[..., :1]).all() for picture in pictures):
        frames = [Image.fromarray(np.ascontiguousarray(picture[..., 0])) for picture in pictures]
    else:
        step = max(1, round(len(pictures) * pictures[0][..., 0].size / _LOOKED_AT))
        seen = np.concatenate([picture.reshape(-1, 3)[::step] for picture in pictures])
        fitting = (
            Image.fromarray(seen[None]).quantize(_COLOURS - len(kept), Image.Quantize.MEDIANCUT).getpalette() or []
        )
        palette = Image.new("P", (1, 1))
        palette.putpalette([part for colour in kept for part in colour] + fitting)
        frames = [
            Image.fromarray(np.ascontiguousarray(picture)).quantize(palette=palette, dither=Image.Dither.NONE)
            for picture in pictures
        ]
    hundredths = max(2, round(100 / rate_hz))  # viewers take shorter ones for a tenth of a second
    with atomic_path(path) as temporary:
        frames[0].save(
            temporary, format="GIF", save_all=True, append_images=frames[1:], duration=10 * hundredths, loop=0
        )
