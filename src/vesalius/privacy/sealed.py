r"""Sealed streams: AES-256-GCM in chunks, of which none can be changed, moved, repeated, dropped or cut off unnoticed.

```text
vesalius sealed 1\n    18 bytes
id                    16 bytes, drawn at random
chunk 0               1 MiB of ciphertext and its tag of 16 bytes
chunk 1               …
last chunk            0 bytes to 1 MiB, and its tag
```

Each stream has a key of its own, derived from the owner's key, the id and the purpose, so that its nonces may count
from zero and never repeat under a key. A nonce is the chunk's number (11 bytes) and whether it is the last (1 byte).

Source: chunks and nonces: STREAM in V. T. Hoang, R. Reyhanitabar, P. Rogaway, D. Vizár: Online
Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance, CRYPTO 2015, section 7 (doi
10.1007/978-3-662-47989-6_24), with the nonce's layout of the age format (age-encryption.org/v1, "Payload"). The key
of a stream: HKDF, RFC 5869. GCM's limits: NIST SP 800-38D, section 5.2.1.1 (at most 2^39 - 256 bits a call; a chunk
has 2^23) and section 8 (a nonce never repeats under a key, to which the counting of 8.2.1 sees). A stream has at most
2^20 chunks (1 TiB), which are 2^36 blocks under one key: the advantage of whoever tells it from noise stays below
(2^36)^2 / 2^129 = 2^-57, the margin of TLS 1.3 (RFC 8446, section 5.5).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from vesalius.errors import FormatError, MissingDependencyError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MARK = b"vesalius sealed 1\n"
CHUNK = 1 << 20
"""Bytes of plain text in each chunk but the last."""
MOST_CHUNKS = 1 << 20
KEY_BYTES = 32
ID_BYTES = 16
TAG_BYTES = 16


def derive(key: bytes, *, salt: bytes, purpose: bytes) -> bytes:
    """A key for one purpose out of a key for many.

    Args:
        key: Uniformly random, 32 bytes.
        salt: Tells apart what shares key and purpose.
        purpose: What the new key is for.

    Returns:
        32 bytes.

    Raises:
        MissingDependencyError: The package cryptography is not installed.

    Source:
        HKDF with SHA-256: RFC 5869; salt and info as its section 3 recommends. Checked against its test case 1.

    Example:
        >>> derive(bytes(32), salt=b"a", purpose=b"index") == derive(bytes(32), salt=b"a", purpose=b"member")
        False
    """
    try:
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF
    except ImportError as error:
        raise MissingDependencyError("encryption needs cryptography: pip install 'vesalius[privacy]'") from error
    return HKDF(SHA256(), KEY_BYTES, salt, purpose).derive(key)


def new_stream() -> str:
    """Draw the id of a stream: 16 bytes in hexadecimal digits.

    Example:
        >>> len(new_stream())
        32
    """
    return secrets.token_hex(ID_BYTES)


def seal(source: BinaryIO, target: BinaryIO, *, key: bytes, purpose: bytes, stream: str) -> int:
    """Encrypt a stream of any length, in the memory of two chunks.

    Args:
        source: Read from where it stands to its end.
        target: Written from where it stands.
        key: Of the owner, 32 bytes; it is never used to encrypt.
        purpose: What the stream is: it opens for no other purpose.
        stream: Its id, from `new_stream`. It must never be used twice under a key: the nonces would repeat.

    Returns:
        The bytes of plain text.

    Raises:
        FormatError: The stream is longer than 1 TiB.

    Example:
        >>> import io
        >>> sealed, how = io.BytesIO(), {"key": bytes(32), "purpose": b"example", "stream": new_stream()}
        >>> seal(io.BytesIO(b"voxels"), sealed, **how)
        6
        >>> b"".join(unseal(io.BytesIO(sealed.getvalue()), **how))
        b'voxels'
    """
    return seal_chunks(read_chunks(source), target, key=key, purpose=purpose, stream=stream)


def read_chunks(source: BinaryIO) -> Iterator[bytes]:
    """A stream in pieces of `CHUNK` bytes, of which only the last may be shorter."""
    return iter(lambda: _whole(source, CHUNK), b"")


def seal_chunks(chunks: Iterator[bytes], target: BinaryIO, *, key: bytes, purpose: bytes, stream: str) -> int:
    """Encrypt what comes in chunks of `CHUNK` bytes, of which only the last may be shorter; see `seal`."""
    cipher = _cipher(key, bytes.fromhex(stream), purpose)
    target.write(MARK + bytes.fromhex(stream))
    size, number, chunk = 0, 0, next(chunks, b"")
    while True:
        following = next(chunks, b"")
        _refuse_long(number)
        target.write(cipher.encrypt(_nonce(number, last=not following), chunk, None))
        size += len(chunk)
        if not following:
            return size
        number, chunk = number + 1, following


def unseal(source: BinaryIO, *, key: bytes, purpose: bytes, stream: str) -> Iterator[bytes]:
    """Decrypt what `seal` wrote, chunk by chunk, each after it was found to be genuine.

    What came before an error must be thrown away: that nothing follows is known only at the end.

    Args:
        source: The sealed stream.
        key: Of the owner.
        purpose: For which it was sealed.
        stream: Its id, as it was sealed with: another stream of the same owner in its place is refused.

    Yields:
        Plain text, at most `CHUNK` bytes at once.

    Raises:
        FormatError: The stream was changed, cut off, put in another's place, or is of another key.
    """
    start = _whole(source, len(MARK) + ID_BYTES)
    if start[: len(MARK)] != MARK:
        raise FormatError("it is not a sealed file, or its first bytes are damaged")
    if start[len(MARK) :].hex() != stream:
        raise FormatError("another sealed file stands in its place, or its id is damaged")
    cipher = _cipher(key, bytes.fromhex(stream), purpose)
    number, chunk = 0, _whole(source, CHUNK + TAG_BYTES)
    while True:
        following = _whole(source, CHUNK + TAG_BYTES)
        _refuse_long(number)
        yield _opened(cipher, number, chunk, last=not following)
        if not following:
            return
        number, chunk = number + 1, following


def _opened(cipher: AESGCM, number: int, chunk: bytes, *, last: bool) -> bytes:
    from cryptography.exceptions import InvalidTag

    if len(chunk) < TAG_BYTES:
        raise FormatError(f"it is cut off in chunk {number + 1}")
    try:
        return cipher.decrypt(_nonce(number, last=last), chunk, None)
    except InvalidTag:
        pass
    try:
        cipher.decrypt(_nonce(number, last=not last), chunk, None)
    except InvalidTag:
        words = "is damaged, was moved, or is of another key"
        raise FormatError(f"chunk {number + 1} {words}") from None
    raise FormatError(f"it is cut off after chunk {number + 1}" if last else "something follows its end")


def _cipher(key: bytes, stream: bytes, purpose: bytes) -> AESGCM:
    own = derive(key, salt=stream, purpose=MARK + purpose)
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(own)


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def _refuse_long(number: int) -> None:
    if number >= MOST_CHUNKS:
        raise FormatError(f"a sealed file holds at most {MOST_CHUNKS * CHUNK >> 40} TiB: divide it")


def _whole(source: BinaryIO, count: int) -> bytes:
    """So many bytes, fewer only at the end: a pipe gives what it has."""
    data = source.read(count)
    while len(data) < count and (more := source.read(count - len(data))):
        data += more
    return data
