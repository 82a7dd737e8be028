import threading
from pathlib import Path

import blosc2
import numpy as np
import pytest

from vesalius.errors import DataError
from vesalius.train.tiles import TiledArray, compress, tile_shape

RANDOM = np.random.default_rng(0)


def on_disk(folder: Path, array: np.ndarray, tile: tuple[int, ...]) -> TiledArray:
    frame = compress(array, tile)
    (folder / "a.b2nd").write_bytes(frame)
    return TiledArray.of(folder / "a.b2nd", frame, name="case 7: the prepared image")


@pytest.mark.parametrize(
    ("shape", "tile", "kind"),
    [
        ((2, 13, 17, 9), (2, 5, 6, 9), np.float32),
        ((1, 40, 33), (1, 16, 16), np.float32),
        ((8, 8, 8), (8, 8, 8), np.int16),
        ((7,), (3,), np.int32),
    ],
)
def test_every_window_is_the_arrays(tmp_path: Path, shape, tile, kind) -> None:
    array = (RANDOM.normal(size=shape) * 100).astype(kind)
    stored = on_disk(tmp_path, array, tile)
    assert (stored.shape, stored.dtype, stored.nbytes) == (array.shape, array.dtype, array.nbytes)
    assert np.array_equal(np.asarray(stored), array)
    for _ in range(40):
        low = RANDOM.integers(0, np.array(shape) + 1)
        high = RANDOM.integers(0, np.array(shape) + 4)  # beyond the end, before the start: as numpy has it
        window = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        assert stored[window].dtype == array.dtype
        assert np.array_equal(stored[window], array[window]), window
    assert np.array_equal(stored[slice(1, 3),], array[1:3])


def test_special_values_and_tiles_without_content_survive(tmp_path: Path) -> None:
    array = np.zeros((1, 20, 20), np.float32)
    array[0, 15, 15:19] = [np.float32(1e-42), -0.0, 3e38, -7]
    assert np.asarray(on_disk(tmp_path, array, (1, 8, 8))).tobytes() == array.tobytes()


def test_the_file_is_one_that_blosc2_reads(tmp_path: Path) -> None:
    array = RANDOM.normal(size=(2, 30, 20)).astype(np.float32)
    stored = on_disk(tmp_path, array, (2, 8, 16))
    theirs = blosc2.open(str(stored.path), mode="r")
    assert np.array_equal(theirs[:, 3:29, 5:], array[:, 3:29, 5:])


def test_a_window_opens_few_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = on_disk(tmp_path, np.ones((1, 64, 64, 64), np.float32), (1, 16, 16, 16))
    opened = []
    decompress = blosc2.decompress2
    monkeypatch.setattr(blosc2, "decompress2", lambda *a, **k: opened.append(1) or decompress(*a, **k))
    _ = stored[:, 16:32, 16:33, 0:1]
    assert len(opened) == 2


def test_every_flipped_bit_is_found_and_the_case_named(tmp_path: Path) -> None:
    array = RANDOM.normal(size=(1, 16, 16)).astype(np.float32)
    stored = on_disk(tmp_path, array, (1, 8, 8))
    sound = stored.path.read_bytes()
    within = [n for start, length, _ in stored.index.tolist() for n in range(start, start + length)]
    assert len(within) > 0.6 * len(sound)
    for place in within[::7]:
        damaged = bytearray(sound)
        damaged[place] ^= 1 << (place % 8)
        stored.path.write_bytes(damaged)
        with pytest.raises(DataError, match="case 7: the prepared image can no longer be read"):
            np.asarray(stored)


@pytest.mark.parametrize("left", [0, 10, 200, 700])
def test_a_file_that_is_cut_off_is_an_error(tmp_path: Path, left: int) -> None:
    stored = on_disk(tmp_path, RANDOM.normal(size=(1, 16, 16)).astype(np.float32), (1, 8, 8))
    stored.path.write_bytes(stored.path.read_bytes()[:left])
    with pytest.raises(DataError, match=r"case 7.*damaged or was removed"):
        _ = stored[:, 0:16, 0:16]


def test_a_file_that_is_gone_is_an_error(tmp_path: Path) -> None:
    stored = on_disk(tmp_path, np.ones((1, 4, 4), np.float32), (1, 4, 4))
    stored.path.unlink()
    with pytest.raises(DataError, match="case 7"):
        _ = stored[:, 0:1]


def test_threads_may_read_one_array_at_once(tmp_path: Path) -> None:
    array = RANDOM.normal(size=(1, 48, 48, 48)).astype(np.float32)
    stored = on_disk(tmp_path, array, (1, 16, 16, 16))
    wrong: list[int] = []

    def read(number: int) -> None:
        random = np.random.default_rng(number)
        for _ in range(30):
            i, j, k = random.integers(0, 30, 3).tolist()
            window = (slice(None), slice(i, i + 18), slice(j, j + 18), slice(k, k + 18))
            if not np.array_equal(stored[window], array[window]):
                wrong.append(number)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("patch", [(40, 56, 40), (16, 256, 256), (1, 512, 512), (128, 128, 128)])
def test_tiles_are_proportioned_as_the_patch_and_of_one_size(patch: tuple[int, ...]) -> None:
    shape = (2, *(4 * n for n in patch))
    tile = tile_shape(shape, patch)
    assert tile[0] == 2
    assert 2**13 <= np.prod(tile[1:]) <= 2**17
    assert all(t <= n for t, n in zip(tile[1:], shape[1:], strict=True))
    relative = np.array(tile[1:]) / patch
    assert relative.max() <= max(4 * relative.min(), 1.0)
