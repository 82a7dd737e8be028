"""Who may do what with a store over the network, and the note that is made of it before it happens.

The roles and the audit chain are those of ``vesalius-privacy.toml`` in the store's folder or one above it, as for the
verbs (`vesalius.privacy.rules`). The file of roles is read anew when it changes: what is taken away is refused from the
next request on.

Fail closed: where the roles cannot be read nobody may do anything, and what cannot be noted is not done.
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vesalius.errors import PrivacyError, VesaliusError
from vesalius.privacy.access import Access, Act, read_access
from vesalius.privacy.audit import account, append, name_hash, study_hash
from vesalius.privacy.rules import find_rules
from vesalius.privacy.tokens import owner_of

log = logging.getLogger(__name__)

NOBODY = "nobody"
"""Who it is in the audit chain when nothing says who it is."""

_STRANGERS_S = 60.0  # between two notes of senders that nobody knows: they are not to fill the disk
_MOST = 200  # hashes of studies in an entry; the count tells of more


class UnnotedError(VesaliusError):
    """The audit chain cannot be written, so that nothing may be done."""


class Guard:
    """Asks the roles and writes the audit chain of a store.

    Args:
        access: File of the roles; None lets everybody do everything, which only the DICOM node's own lists narrow.
        chain: Folder of the audit chain; None notes nothing.

    Raises:
        PrivacyError: The file of roles cannot be read.

    Example:
        >>> guard = Guard()
        >>> guard.account_of("PACS"), guard.allows(None, "store")
        (None, True)
    """

    def __init__(self, access: Path | None = None, chain: Path | None = None) -> None:
        self._file, self.chain = access, chain
        self._lock = threading.Lock()
        self._state: tuple[object, Access] | None = None
        self._strangers, self._told = 0, -_STRANGERS_S
        if access is not None:
            self._access()

    @property
    def asks(self) -> bool:
        """Whether there are roles."""
        return self._file is not None

    def owner(self, authorization: str | None) -> str | None:
        """The account whose token a request carries; None where it carries none that is known.

        Args:
            authorization: The header of this name: ``Bearer TOKEN``, or ``Basic`` with the token as the password.
        """
        token = token_of(authorization)
        access = self._now()
        return None if token is None or access is None else owner_of(access, token)

    def account_of(self, title: str) -> str | None:
        """The account of an AE title; None where it is nobody's, or there are no roles."""
        access = self._now()
        return None if access is None else access.titles.get(title.strip())

    def titles(self) -> list[str]:
        """The AE titles that may call."""
        access = self._now()
        return [] if access is None else list(access.titles)

    def allows(self, who: str | None, act: Act) -> bool:
        """Whether an account may do something; everybody may where there are no roles."""
        if self._file is None:
            return True
        access = self._now()
        return access is not None and who is not None and access.allows(who, act)

    def note(
        self,
        who: str | None,
        act: str,
        state: str,
        *,
        service: str,
        studies: Iterable[str] = (),
        title: str = "",
        **facts: Any,
    ) -> None:
        """Write an entry into the audit chain.

        Args:
            who: Account; None where it is not known.
            act: In a word: queried, read, stored, committed, segmented, exported.
            state: begun, done, failed or refused.
            service: Of DICOM, for example ``"C-STORE"``.
            studies: Study Instance UIDs, which go in as hashes.
            title: AE title of somebody unknown; anybody can send any, so that it goes in as a hash.
            **facts: Numbers.

        Raises:
            UnnotedError: It cannot be written.
        """
        if self.chain is None:
            return
        try:
            named = list(dict.fromkeys(studies))
            about: dict[str, Any] = {"service": service, "state": state, "studies": len(named), **facts}
            about["of"] = [study_hash(self.chain, uid) for uid in named[:_MOST]]
            if title:
                about["title"] = name_hash(self.chain, f"title {title}")
            append(self.chain, act, about, who=who or NOBODY)
        except Exception as error:  # full disk, a chain that was changed, a key that is gone: all the same here
            log.error("the audit chain cannot be written, and nothing is done: %s", type(error).__name__)  # noqa: TRY400
            raise UnnotedError("the audit chain cannot be written, so that nothing is done") from None

    def note_own(self, act: str, state: str, *, service: str, studies: Iterable[str], **facts: Any) -> None:
        """Write down what the node does itself; see `note`."""
        self.note(account(), act, state, service=service, studies=studies, **facts)

    def note_stranger(self, service: str) -> None:
        """Write down that somebody unknown was refused: once a minute at most, with how many there were.

        It is refused whether or not this can be written.
        """
        with self._lock:
            self._strangers += 1
            now = time.monotonic()
            if now - self._told < _STRANGERS_S:
                return
            times, self._strangers, self._told = self._strangers, 0, now
        try:
            self.note(None, "knocked", "refused", service=service, times=times)
        except UnnotedError:
            return

    def _now(self) -> Access | None:
        if self._file is None:
            return None
        try:
            return self._access()
        except PrivacyError as error:
            log.error("nobody may do anything: %s", error)  # noqa: TRY400
            return None

    def _access(self) -> Access:
        assert self._file is not None
        with self._lock:
            try:
                told = self._file.stat()
            except OSError:
                raise PrivacyError(f"{self._file.name}: the roles cannot be read") from None
            mark = (told.st_ino, told.st_size, told.st_mtime_ns)
            if self._state is None or self._state[0] != mark:
                self._state = (mark, read_access(self._file))
            return self._state[1]


def guard_of(folder: str | os.PathLike[str]) -> Guard:
    """The guard of a store, as the rules that lie with it have it.

    Args:
        folder: Of the store; it need not be there.

    Raises:
        PrivacyError: The rules or the roles cannot be read.
    """
    rules = find_rules(folder)
    return Guard() if rules is None else Guard(rules.access, rules.audit)


def token_of(authorization: str | None) -> str | None:
    """The token in the header of this name; None where there is none.

    Example:
        >>> token_of("Bearer abc"), token_of("Basic YW55Ym9keTphYmM="), token_of("Digest abc")
        ('abc', 'abc', None)
    """
    scheme, _, value = (authorization or "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() != "basic":
        return None
    try:
        _, _, token = base64.b64decode(value.strip(), validate=True).partition(b":")
        return token.decode("utf-8")
    except (binascii.Error, ValueError):
        return None
