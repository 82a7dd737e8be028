"""What stands below associations; apart because pynetdicom must be there before it can be written."""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable
from typing import Any

from pynetdicom.ae import ApplicationEntity
from pynetdicom.transport import AssociationSocket, ThreadedAssociationServer

from vesalius.server.node.limits import closing_for_good

log = logging.getLogger(__name__)

_NO_TITLE = "\\"  # no AE title holds a backslash (PS3.5 2026c, table 6.2-1)


class Entity(ApplicationEntity):
    """An application entity whose sockets are closed, also where there was no connection.

    ``titles`` gives the AE titles that may call now, which change while it listens.
    """

    titles: Callable[[], list[str]] | None = None

    @property
    def require_calling_aet(self) -> list[str]:
        """AE titles that may call; an empty list lets all, which `titles` never means."""
        if self.titles is None:
            return list(super().require_calling_aet)
        return self.titles() or [_NO_TITLE]

    @require_calling_aet.setter
    def require_calling_aet(self, titles: list[str]) -> None:
        ApplicationEntity.__dict__["require_calling_aet"].__set__(self, titles)

    def _create_socket(self, *arguments: Any) -> AssociationSocket:
        made = super()._create_socket(*arguments)
        closing_for_good(made)
        return made


class Listener(ThreadedAssociationServer):
    """Lets in those that may come, a limited number of them, and shakes hands apart from listening.

    pynetdicom's own shakes hands before it listens again: one caller that says nothing would stop all others.
    """

    daemon_threads = True
    admits: Callable[[str], bool]
    most: int
    handshake_s: float
    tls: ssl.SSLContext | None

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._count = threading.Lock()
        self._shaking = 0

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002
        """Whether a connection is taken: its address is let in, and there are not too many."""
        if not self.admits(str(client_address[0])):
            log.warning("a connection was refused: its address is not among those that may connect")
            return False
        with self._count:
            if self._shaking + len(self.active_associations) >= self.most:
                log.warning("a connection was refused: there are too many")
                return False
            self._shaking += 1
        return True

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands, if there is TLS, and begin an association; in a thread of the connection's own."""
        try:
            request.settimeout(self.handshake_s)
            if self.tls is not None:
                request = self.tls.wrap_socket(request, server_side=True)
            super().finish_request(request, client_address)
        finally:
            with self._count:
                self._shaking -= 1

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """A connection that could not be made: socketserver would print it with all its values."""
        log.warning("a connection broke off before there was an association")
