"""A sealed stream opens as it was or not at all."""

import io
import itertools
import tracemalloc

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from vesalius.errors import FormatError
from vesalius.privacy import sealed
from vesalius.privacy.sealed import CHUNK, ID_BYTES, MARK, TAG_BYTES, derive, new_stream, seal, unseal

KEY, HEAD = bytes(range(32)), len(MARK) + ID_BYTES


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> int:
    """Chunks of 64 bytes, so that a few hundred bytes have several."""
    monkeypatch.setattr(sealed, "CHUNK", 64)
    return 64 + TAG_BYTES


def closed(plain: bytes, stream: str, *, key: bytes = KEY, purpose: bytes = b"test") -> bytes:
    target = io.BytesIO()
    assert seal(io.BytesIO(plain), target, key=key, purpose=purpose, stream=stream) == len(plain)
    return target.getvalue()


def opened(data: bytes, stream: str, *, key: bytes = KEY, purpose: bytes = b"test") -> bytes:
    return b"".join(unseal(io.BytesIO(data), key=key, purpose=purpose, stream=stream))


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK])
def test_what_was_sealed_opens(size, rng):
    plain, stream = rng.bytes(size), new_stream()
    data = closed(plain, stream)
    chunks = max(1, -(-size // CHUNK))
    assert len(data) == HEAD + size + chunks * TAG_BYTES
    assert opened(data, stream) == plain


def test_keys_are_those_of_rfc_5869():
    """Its test case 1, of which the output is cut to our 32 bytes."""
    found = derive(bytes([0x0B] * 22), salt=bytes(range(13)), purpose=bytes(range(0xF0, 0xFA)))
    assert found.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"


def test_a_chunk_is_plain_aes_gcm_under_the_streams_key(small):
    """Worked out apart from the code: the nonce is number and last-mark, the key HKDF's."""
    stream = new_stream()
    data = closed(b"a" * 100, stream)
    cipher = AESGCM(derive(KEY, salt=bytes.fromhex(stream), purpose=MARK + b"test"))
    assert cipher.decrypt(bytes(12), data[HEAD : HEAD + small], None) == b"a" * 64
    assert cipher.decrypt(bytes([0] * 10 + [1, 1]), data[HEAD + small :], None) == b"a" * 36


def test_every_bit_counts(small, rng):
    """Every bit of every region: mark, id, each chunk's ciphertext and tag."""
    plain, stream = rng.bytes(150), new_stream()
    data = closed(plain, stream)
    for at, bit in itertools.product(range(len(data)), range(8)):
        changed = bytearray(data)
        changed[at] ^= 1 << bit
        with pytest.raises(FormatError):
            opened(bytes(changed), stream)


def test_no_part_of_it_passes_for_the_whole(small, rng):
    plain, stream = rng.bytes(200), new_stream()
    data = closed(plain, stream)
    for size in range(len(data)):
        with pytest.raises(FormatError):
            opened(data[:size], stream)


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ((1, 0, 2, 3), "chunk 1 is damaged, was moved"),
        ((0, 2, 1, 3), "chunk 2 is damaged, was moved"),
        ((0, 1, 3), "chunk 3 is damaged, was moved"),
        ((0, 0, 1, 2, 3), "chunk 2 is damaged, was moved"),
        ((0, 1, 2), "cut off after chunk 3"),
        ((0, 1, 2, 3, 3), "something follows its end"),
    ],
    ids=["first two swapped", "inner ones swapped", "one left out", "one repeated", "last left out", "something added"],
)
def test_chunks_keep_their_places(order, words, small, rng):
    plain, stream = rng.bytes(4 * 64), new_stream()
    data = closed(plain, stream)
    chunks = [data[HEAD + n * small : HEAD + (n + 1) * small] for n in range(4)]
    with pytest.raises(FormatError, match=words):
        opened(data[:HEAD] + b"".join(chunks[n] for n in order), stream)


def test_another_key_purpose_or_stream_does_not_open(small):
    stream, other = new_stream(), new_stream()
    data = closed(b"voxels", stream)
    with pytest.raises(FormatError, match="of another key"):
        opened(data, stream, key=bytes(32))
    with pytest.raises(FormatError, match="of another key"):
        opened(data, stream, purpose=b"index")
    with pytest.raises(FormatError, match="another sealed file stands in its place"):
        opened(closed(b"voxels", other), stream)
    renamed = MARK + bytes.fromhex(stream) + closed(b"voxels", other)[HEAD:]
    with pytest.raises(FormatError, match="of another key"):
        opened(renamed, stream)


def test_a_stream_has_its_limit(small, monkeypatch):
    monkeypatch.setattr(sealed, "MOST_CHUNKS", 3)
    assert opened(closed(b"a" * 192, stream := new_stream()), stream) == b"a" * 192
    with pytest.raises(FormatError, match="divide it"):
        closed(b"a" * 193, new_stream())


def test_a_source_that_gives_little_at_a_time_is_read_whole():
    class Pipe(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, 7))

    stream, target = new_stream(), io.BytesIO()
    seal(Pipe(b"b" * 100), target, key=KEY, purpose=b"test", stream=stream)
    assert b"".join(unseal(Pipe(target.getvalue()), key=KEY, purpose=b"test", stream=stream)) == b"b" * 100


def test_memory_does_not_grow_with_the_file():
    class Zeros(io.RawIOBase):
        left = 24 * CHUNK

        def read(self, size=-1):
            size = min(size, self.left)
            self.left -= size
            return bytes(size)

    class Nowhere(io.RawIOBase):
        def write(self, data):
            return len(data)

    tracemalloc.start()
    try:
        seal(Zeros(), Nowhere(), key=KEY, purpose=b"test", stream=new_stream())
        assert tracemalloc.get_traced_memory()[1] < 6 * CHUNK
    finally:
        tracemalloc.stop()
