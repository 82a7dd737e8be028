"""Roles, tokens and an audit chain for a server that a test starts."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pydicom
import uvicorn
from orthanc import free_port

from vesalius.privacy.access import Role, change_role, create_access
from vesalius.privacy.audit import Entry, create_chain, entries
from vesalius.privacy.tokens import change_title, draw_token
from vesalius.server.dicomweb.app import create_app, settings_of
from vesalius.server.dicomweb.requests import Bounds
from vesalius.server.guard import Guard
from vesalius.server.store import Store

ACCOUNTS: dict[str, tuple[Role, ...]] = {
    "reader": ("viewer",),
    "writer": ("viewer", "device"),
    "scanner": ("device",),
    "learner": ("administrator",),  # who may neither view nor store
}


@dataclass(frozen=True)
class Keys:
    """A guard, its files, and the tokens of `ACCOUNTS`."""

    guard: Guard
    access: Path
    chain: Path
    reader: str
    writer: str
    scanner: str
    learner: str

    def noted(self) -> list[Entry]:
        """The entries of the chain but for its first."""
        return list(entries(self.chain))[1:]


def make_keys(folder: Path, *, titles: dict[str, str] | None = None) -> Keys:
    """Write roles and begin a chain in a folder; `titles` are AE titles and their accounts."""
    folder.mkdir(parents=True, exist_ok=True)
    access = folder / "access.json"
    create_access(access, "ada")
    for who, roles in ACCOUNTS.items():
        for role in roles:
            change_role(access, who, role, granted=True)
    for title, who in (titles or {}).items():
        change_title(access, who, title, given=True)
    tokens = {who: draw_token(access, who) for who in ACCOUNTS}
    chain = create_chain(folder / "audit")
    return Keys(Guard(access, chain), access, chain, **tokens)


@contextmanager
def serving(store: Store, guard: Guard, *, origins: Sequence[str] = (), **bounds: Any) -> Iterator[str]:
    """The DICOMweb server as it runs in earnest, on a free port."""
    port = free_port()
    app = create_app(store, guard, bounds=Bounds(**bounds), origins=origins)
    server = uvicorn.Server(settings_of(app, "127.0.0.1", port, {}))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)


class Kept:
    """An object of the store, and where it is had."""

    def __init__(self, store: Store, path: Path) -> None:
        self.made = pydicom.dcmread(path)
        self.one = store.add_file(path)[0]
        self.uids = (self.one.study, self.one.series, self.one.uid)
        self.path = "/studies/{}/series/{}/instances/{}".format(*self.uids)


def get(url: str, keys: Keys, path: str, accept: str | None = None, /, **query: str) -> httpx.Response:
    """Ask the server as the reader."""
    headers = {"Authorization": f"Bearer {keys.reader}"} | ({} if accept is None else {"Accept": accept})
    return httpx.get(url + path, headers=headers, params=query)
