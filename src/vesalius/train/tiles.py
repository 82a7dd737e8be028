"""Arrays on disk in compressed tiles, of which a window is read without the rest."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import DTypeLike, NDArray

from vesalius.errors import DataError

_TILE = 2**15  # voxels: 32³ float32 values, 128 KiB, lie in a core's cache; smaller and larger ones read more slowly
_LONGEST_HEADER = 2**16


@runtime_checkable
class ReadsWindows(Protocol):
    """What a NumPy array and a `TiledArray` have in common: a window is read by a tuple of slices."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Elements on each axis."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the elements."""
        ...

    @property
    def nbytes(self) -> int:
        """Of the array, decompressed."""
        ...

    def __getitem__(self, window: tuple[slice, ...], /) -> NDArray[Any]: ...

    def __array__(self, dtype: Any = ..., /) -> NDArray[Any]: ...


def tile_shape(shape: Sequence[int], patch_size: Sequence[int]) -> tuple[int, ...]:
    """How large a tile is: proportioned as the patch, so that a window touches few, and about 2¹⁵ voxels.

    Args:
        shape: ``(c, *grid)``; a tile holds all channels.
        patch_size: What will be read, for each axis of the grid.

    Returns:
        ``(c, *tile)``. An axis is shared out evenly, so that no tile is mostly filling.

    Example:
        >>> tile_shape((1, 256, 256, 160), (40, 56, 40)), tile_shape((1, 35, 51, 35), (40, 56, 40))
        ((1, 32, 32, 32), (1, 35, 26, 35))
        >>> tile_shape((1, 20, 400, 400), (16, 256, 256))
        (1, 4, 67, 67)
    """
    scale = (_TILE / math.prod(patch_size)) ** (1 / len(patch_size))
    wanted = [2.0 ** round(math.log2(max(1.0, scale * n))) for n in patch_size]
    parts = [max(1, round(n / w)) for n, w in zip(shape[1:], wanted, strict=True)]
    return (shape[0], *(math.ceil(n / p) for n, p in zip(shape[1:], parts, strict=True)))


def compress(array: NDArray[Any], tile: Sequence[int]) -> bytes:
    """Compress an array without loss into a frame that `blosc2` opens as an ``NDArray``.

    Args:
        array: Of numbers, at least one.
        tile: For each axis, at least 1.

    Returns:
        The bytes of a ``.b2nd`` file: LZ4 after a shuffle of the bits, one block a tile. zstd makes the files of
        normalised images 2 to 6 % smaller, and reading them takes two to three times as long.

    Example:
        >>> array = np.arange(100, dtype=np.int16).reshape(10, 10)
        >>> import blosc2
        >>> bool((blosc2.ndarray_from_cframe(compress(array, (4, 5)))[:] == array).all())
        True
    """
    blosc2 = _blosc2()
    how = {
        "codec": blosc2.Codec.LZ4,
        "clevel": 1,
        "filters": [blosc2.Filter.BITSHUFFLE],
        "filters_meta": [0],
        "typesize": array.dtype.itemsize,
        "blocksize": math.prod(tile) * array.dtype.itemsize,
        "nthreads": 1,
    }
    frame = blosc2.empty(
        array.shape, array.dtype, chunks=tuple(tile), blocks=tuple(tile), cparams=how, dparams={"nthreads": 1}
    )
    counts = [math.ceil(n / t) for n, t in zip(array.shape, tile, strict=True)]
    filled = np.zeros(tile, array.dtype)
    for number, place in enumerate(itertools.product(*map(range, counts))):
        part = array[tuple(slice(p * t, (p + 1) * t) for p, t in zip(place, tile, strict=True))]
        if part.shape != tuple(tile):
            filled.fill(0)
            filled[tuple(map(slice, part.shape))] = part
            part = filled
        # Tile by tile, as this lets go of the interpreter lock and assigning the whole array does not.
        frame.schunk.update_chunk(number, blosc2.compress2(np.ascontiguousarray(part), **how))
    return bytes(frame.to_cframe())


@dataclass(frozen=True, eq=False)
class TiledArray:
    """An array in a ``.b2nd`` file. Any number of threads may read it at once; each tile is checked as it is read.

    Args:
        path: The file.
        name: For messages: what it is, and of which case.
        shape: As the array's.
        dtype: As the array's.
        tile: Of its tiles.
        index: ``(tiles, 3)``: where each tile starts in the file, its length and its CRC-32; of a tile that is not in
            the file because it is constant, ``(-1 - number among the constants, 0, 0)``.
        constants: Those tiles, compressed.
        lease: Kept alive as long as this is: what stops other runs from removing the file.
    """

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    tile: tuple[int, ...]
    index: NDArray[np.int64]
    constants: tuple[bytes, ...] = ()
    lease: object = None

    @classmethod
    def of(cls, path: Path, frame: bytes, *, name: str, lease: object = None) -> TiledArray:
        """The array that a file holds.

        Args:
            path: Where the frame stands.
            frame: The bytes of the file, known to be sound.
            name: For messages.
            lease: Kept alive.
        """
        array = _blosc2().ndarray_from_cframe(frame)
        index, constants, end = np.zeros((array.schunk.nchunks, 3), np.int64), dict[bytes, int](), 0
        for number, row in enumerate(index):
            chunk = array.schunk.get_chunk(number)
            # Tiles stand in the file one after the other; the first comes after a header of a few hundred bytes.
            start = frame.find(chunk, end, end + len(chunk) + (0 if end else _LONGEST_HEADER))
            if start > 0:
                end = start + len(chunk)
                row[:] = start, len(chunk), _checksum(chunk)
            else:
                row[0] = -1 - constants.setdefault(chunk, len(constants))
        shape, tile = tuple(array.shape), tuple(array.chunks)
        return cls(path, name, shape, np.dtype(array.dtype), tile, index, tuple(constants), lease)

    @property
    def nbytes(self) -> int:
        """Of the array, decompressed."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """The whole array, read anew."""
        if copy is False:
            raise ValueError("an array on disk cannot be had without a copy")
        return self[()].astype(dtype or self.dtype, copy=False)

    def __getitem__(self, window: tuple[slice, ...], /) -> NDArray[Any]:
        """Read a window.

        Args:
            window: A slice without a step for each axis; axes left out are read whole.

        Raises:
            DataError: The file is damaged or gone; the message names the case.
        """
        bounds = [part.indices(n)[:2] for part, n in zip(window, self.shape, strict=False)]
        bounds += [(0, n) for n in self.shape[len(bounds) :]]
        out = np.empty([max(0, high - low) for low, high in bounds], self.dtype)
        if out.size:
            try:
                self._fill(out, bounds)
            except (OSError, ValueError) as error:
                raise DataError(
                    f"{self.name} can no longer be read from disk: it is damaged or was removed "
                    f"({error}); start again, and it is made anew"
                ) from error
        return out

    def _fill(self, out: NDArray[Any], bounds: Sequence[tuple[int, int]]) -> None:
        blosc2 = _blosc2()
        values = np.empty(self.tile, self.dtype)
        axes = [_tiles(low, high, n, t) for (low, high), n, t in zip(bounds, self.shape, self.tile, strict=True)]
        # Opened for each window, as there are more cases than files may be open at once.
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            for touched in itertools.product(*axes):
                number = 0
                for place, count, _, _ in touched:
                    number = number * count + place
                blosc2.decompress2(self._compressed(descriptor, number), dst=values, nthreads=1)
                out[tuple(there for _, _, there, _ in touched)] = values[tuple(here for _, _, _, here in touched)]
        finally:
            os.close(descriptor)

    def _compressed(self, descriptor: int, number: int) -> bytes:
        start, length, checksum = map(int, self.index[number])
        if start < 0:
            return self.constants[-1 - start]
        data = os.pread(descriptor, length, start)
        if len(data) != length or _checksum(data) != checksum:
            raise ValueError(f"tile {number} has another checksum")
        return data


def _tiles(low: int, high: int, size: int, tile: int) -> list[tuple[int, int, slice, slice]]:
    """Of one axis, each tile that a window touches: its place, how many there are, its part of window and of tile."""
    count = math.ceil(size / tile)
    return [
        (
            place,
            count,
            slice(max(low, place * tile) - low, min(high, (place + 1) * tile) - low),
            slice(max(low, place * tile) - place * tile, min(high, (place + 1) * tile) - place * tile),
        )
        for place in range(low // tile, math.ceil(high / tile))
    ]


def _checksum(data: bytes) -> int:
    from isal import isal_zlib  # ten times as fast as zlib's

    return int(isal_zlib.crc32(data))


def _blosc2() -> Any:
    import blosc2

    blosc2.set_releasegil(True)
    return blosc2
