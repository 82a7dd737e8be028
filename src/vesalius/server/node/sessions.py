"""What is noted of an association: of each study once before the first object is kept, and once how it ended."""

from __future__ import annotations

import contextlib
import logging
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vesalius.server.guard import Guard, UnnotedError

if TYPE_CHECKING:
    from pynetdicom.events import Event

log = logging.getLogger(__name__)

NOT_AUTHORISED = 0x0124
"""Status. Source: PS3.7 2026c, C.5.18 (Refused: Not authorized)."""


@dataclass
class _Told:
    """What an association has brought of a study."""

    kept: int = 0
    refused: int = 0


@dataclass(eq=False)
class _Session:
    who: str | None
    title: str
    studies: dict[str, _Told] = field(default_factory=dict)


class Sessions:
    """Those of a node.

    Args:
        guard: Of the store.
    """

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, _Session] = {}

    def may(self, event: Event, service: str) -> bool:
        """Whether whoever called may use a service that needs the permission to store; a refusal is noted."""
        title = str(event.assoc.requestor.ae_title).strip()
        who = self.guard.account_of(title)
        if self.guard.allows(who, "store"):
            return True
        log.warning("a request was refused: no role of the account of this AE title allows it")
        with contextlib.suppress(UnnotedError):  # it is refused in any case
            self.guard.note(who, "stored", "refused", service=service, title="" if who else title)
        return False

    def note(self, event: Event, service: str, state: str) -> None:
        """Storage commitment was asked for, or reported on.

        Raises:
            UnnotedError: It cannot be noted, and must not be answered.
        """
        title = str(event.assoc.requestor.ae_title).strip()
        who = self.guard.account_of(title)
        self.guard.note(who, "committed", state, service=service, title="" if who else title)

    def begin(self, event: Event, study: str) -> None:
        """An object of a study is about to be kept.

        Raises:
            UnnotedError: It cannot be noted, and must not be kept.
        """
        with self._lock:
            session = self._of(event.assoc)
            if study in session.studies:
                return
        self._note(session, study, "begun")
        with self._lock:
            session.studies[study] = _Told()

    def count(self, event: Event, study: str, *, kept: bool) -> None:
        """What became of an object."""
        with self._lock:
            told = self._of(event.assoc).studies.get(study)
            if told is not None:
                told.kept += kept
                told.refused += not kept

    def end(self, association: Any) -> None:
        """An association is over; for the events that say so, of which several may come."""
        with self._lock:
            session = self._open.pop(association, None)
        if session is None:
            return
        for study, told in session.studies.items():
            state = "failed" if told.refused else "done"
            try:
                self._note(session, study, state, kept=told.kept, refused=told.refused)
            except UnnotedError:  # that it began is noted; the next thing is refused
                return

    def end_all(self) -> None:
        """The node ends."""
        for association in list(self._open):
            self.end(association)

    def _of(self, association: Any) -> _Session:
        if association not in self._open:
            title = str(association.requestor.ae_title).strip()
            self._open[association] = _Session(self.guard.account_of(title), title)
        return self._open[association]

    def _note(self, session: _Session, study: str, state: str, **facts: int) -> None:
        title = "" if session.who else session.title
        self.guard.note(session.who, "stored", state, service="C-STORE", studies=[study], title=title, **facts)
