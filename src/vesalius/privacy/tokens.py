"""Tokens and AE titles: by what a server knows whose request it is; both belong to accounts, which have the roles.

A token is 32 random bytes, shown once when it is drawn; the file of roles holds its SHA-256. What has 256 random bits
needs no slow hash: nobody guesses it.

Source: OWASP, "Authentication Cheat Sheet" and NIST SP 800-63B, 5.1.2 (look-up secrets: random, hashed where kept).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import replace
from pathlib import Path

from vesalius.errors import PrivacyError
from vesalius.privacy.access import Access, Role, change_access

_BYTES = 32
_SHORTEST = 24  # characters of a token that somebody thought of before roles had tokens
_OLD: dict[str, tuple[Role, ...]] = {"read": ("viewer",), "write": ("viewer", "device")}


def draw_token(path: str | os.PathLike[str], who: str) -> str:
    """Draw a token for an account; it can have several.

    Args:
        path: File of the roles.
        who: Account.

    Returns:
        The token, which nothing tells again.

    Raises:
        PrivacyError: The account has no role, so that its token would open nothing; or the file cannot be read.

    Example:
        >>> import tempfile
        >>> from vesalius.privacy.access import change_role, create_access
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = create_access(Path(folder) / "access.json", "ada")
        ...     access = change_role(Path(folder) / "access.json", "viewer-1", "viewer", granted=True)
        ...     token = draw_token(Path(folder) / "access.json", "viewer-1")
        >>> len(token)
        43
    """
    token = secrets.token_urlsafe(_BYTES)

    def change(access: Access) -> Access:
        _require_role(access, who)
        return replace(access, tokens={**access.tokens, _hashed(token): who})

    change_access(path, change)
    return token


def withdraw_tokens(path: str | os.PathLike[str], who: str) -> int:
    """Take back all tokens of an account; a running server refuses them from its next request on.

    Returns:
        How many there were.

    Raises:
        PrivacyError: The file cannot be read.
    """
    gone = 0

    def change(access: Access) -> Access:
        nonlocal gone
        left = {token: owner for token, owner in access.tokens.items() if owner != who}
        gone = len(access.tokens) - len(left)
        return replace(access, tokens=left)

    change_access(path, change)
    return gone


def change_title(path: str | os.PathLike[str], who: str, title: str, *, given: bool) -> Access:
    """Say that an AE title is an account's, or no longer.

    Args:
        path: File of the roles.
        who: Account.
        title: Of a DICOM node.
        given: Whether it is the account's.

    Raises:
        PrivacyError: The account has no role, or the title is another account's.
    """

    def change(access: Access) -> Access:
        if access.titles.get(title, who) != who:
            raise PrivacyError("this AE title is another account's: take it back from that one first")
        if given:
            _require_role(access, who)
            return replace(access, titles={**access.titles, title: who})
        return replace(access, titles={one: owner for one, owner in access.titles.items() if one != title})

    return change_access(path, change)


def adopt_tokens(path: str | os.PathLike[str], old: str | os.PathLike[str]) -> list[str]:
    """Take over a file of ``read TOKEN`` and ``write TOKEN`` lines, as the DICOMweb server had them before roles.

    Each token gets an account of its own, ``web-1`` and so on: that of ``read`` becomes a viewer, that of ``write`` a
    viewer and a device. A token that is known already keeps its account.

    Args:
        path: File of the roles.
        old: The file of tokens; it is left as it is, and should be removed.

    Returns:
        The new accounts.

    Raises:
        PrivacyError: One of the files cannot be read, or the old one holds something else.
    """
    found = _read_old(Path(old))
    made: list[str] = []

    def change(access: Access) -> Access:
        roles, tokens = dict(access.roles), dict(access.tokens)
        for token, held in found:
            if token in tokens:
                continue
            number = 1
            while (who := f"web-{number}") in roles:
                number += 1
            roles[who], tokens[token] = held, who
            made.append(who)
        return replace(access, roles=roles, tokens=tokens)

    change_access(path, change)
    return made


def owner_of(access: Access, token: str) -> str | None:
    """The account that a token belongs to; None where it is nobody's.

    Args:
        access: Who has which roles and tokens.
        token: As it came.
    """
    told, found = _hashed(token), None
    for known, who in access.tokens.items():  # all of them, so that the time tells nothing
        if hmac.compare_digest(known.encode("utf-8", "replace"), told.encode()):
            found = who
    return found


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _require_role(access: Access, who: str) -> None:
    if not access.roles.get(who):
        raise PrivacyError(f"the account {who} has no role, and could do nothing: `vesalius access grant` gives it one")


def _read_old(place: Path) -> list[tuple[str, tuple[Role, ...]]]:
    try:
        lines = place.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise PrivacyError(f"{place.name}: the tokens cannot be read: {error.strerror}") from None
    except ValueError:
        raise PrivacyError(f"{place.name}: not a file of tokens") from None
    found = []
    for number, line in enumerate(lines, start=1):
        may, _, token = line.strip().partition(" ")
        token = token.strip()
        if not line.strip() or line.startswith("#"):
            continue
        if may not in _OLD or len(token) < _SHORTEST or " " in token:
            raise PrivacyError(
                f"{place.name}, line {number}: must be `read TOKEN` or `write TOKEN` of {_SHORTEST} characters or more"
            )
        found.append((_hashed(token), _OLD[may]))
    return found
