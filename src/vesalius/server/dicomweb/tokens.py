"""Who may use the DICOMweb server: tokens from a file, of which only hashes stay in memory."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from vesalius.errors import VesaliusError

May = Literal["read", "write"]
_SHORTEST = 24  # characters: what can be guessed is no token


@dataclass(frozen=True)
class Tokens:
    """Who may do what.

    Args:
        hashes: SHA-256 of each token to what its owner may do; writing includes reading.
    """

    hashes: Mapping[bytes, May] = field(repr=False)

    def allows(self, authorization: str | None) -> May | None:
        """What the sender of a request may do; None if nothing.

        Args:
            authorization: The header of this name: ``Bearer TOKEN``, or ``Basic`` with the token as the password.
        """
        scheme, _, value = (authorization or "").partition(" ")
        token = value.strip().encode("utf-8", "replace")
        if scheme.lower() == "basic":
            try:
                _, _, token = base64.b64decode(token, validate=True).partition(b":")
            except binascii.Error:
                return None
        elif scheme.lower() != "bearer":
            return None
        told = hashlib.sha256(token).digest()
        found: May | None = None
        for known, may in self.hashes.items():  # all of them, so that the time tells nothing
            if hmac.compare_digest(known, told):
                found = may
        return found


def read_tokens(path: Path | str) -> Tokens:
    r"""Read tokens from a file.

    Args:
        path: Lines of ``read TOKEN`` or ``write TOKEN``; those that begin with ``#`` are left out. Readable to its
            owner alone.

    Raises:
        VesaliusError: It cannot be read, can be read by others, or holds something else; a token is shorter than 24
            characters.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     _ = Path(file.name).write_text("read 0123456789abcdef0123456789\n")
        ...     read_tokens(file.name).allows("Bearer 0123456789abcdef0123456789")
        'read'
    """
    place = Path(path)
    try:
        if place.stat().st_mode & 0o077:
            raise VesaliusError(f"{place.name}: the tokens can be read by others than their owner; chmod 600 it")
        lines = place.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise VesaliusError(f"{place.name}: the tokens cannot be read: {error.strerror}") from None
    except ValueError:
        raise VesaliusError(f"{place.name}: not a file of tokens") from None
    hashes: dict[bytes, May] = {}
    for number, line in enumerate(lines, start=1):
        may, _, token = line.strip().partition(" ")
        token = token.strip()
        if not line.strip() or line.startswith("#"):
            continue
        if may not in ("read", "write") or len(token) < _SHORTEST or " " in token:
            raise VesaliusError(
                f"{place.name}, line {number}: write `read TOKEN` or `write TOKEN` of {_SHORTEST} characters or more"
            )
        hashes[hashlib.sha256(token.encode()).digest()] = "write" if may == "write" else "read"
    if not hashes:
        raise VesaliusError(f"{place.name}: there is no token in it, so that nobody could ask anything")
    return Tokens(hashes)
