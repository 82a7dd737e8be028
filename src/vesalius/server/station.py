"""A node as a whole: it listens, keeps, carries rules out, and is asked over DICOMweb."""

from __future__ import annotations

import contextlib
import ipaddress
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from vesalius.errors import VesaliusError
from vesalius.server.dicomweb.app import create_app, settings_of
from vesalius.server.guard import Guard, guard_of
from vesalius.server.node import commitment
from vesalius.server.node.listen import Arrivals, Door, listening
from vesalius.server.node.peers import Caller
from vesalius.server.rules import Rules, Segment, segmenter_of
from vesalius.server.store import Store
from vesalius.server.worker import Shop, heard, working


@contextlib.contextmanager
def station(
    folder: Path | str,
    door: Door,
    rules: Rules | None = None,
    *,
    segmenters: Mapping[str, Segment] | None = None,
    retry_s: float = 10.0,
    pause_s: float = 1.0,
    beside: Callable[[Store], contextlib.AbstractContextManager[object]] | None = None,
    guard: Guard | None = None,
) -> Iterator[int]:
    """Run a node while the block runs.

    Args:
        folder: Of its store.
        door: Where it listens, and to whom.
        rules: What is done with what arrives.
        segmenters: By name of the rule, in place of what the rules say.
        retry_s: Before the first try again, of whatever failed.
        pause_s: Between two looks at what is to be done.
        beside: What runs beside it on the same store.
        guard: Roles and audit chain; those that the rules of the store's folder name when left out.

    Yields:
        The port.

    Raises:
        VesaliusError: The store is in use, the port is taken, or a rule cannot be carried out.
    """
    wanted, own = rules or Rules(), guard or guard_of(folder)
    ready = segmenters or {rule.name: segmenter_of(rule) for rule in wanted.rules}
    caller = Caller(door.ae_title, door.limits, door.tls)
    by_title = {peer.ae_title: peer for peer in wanted.peers.values()}
    with contextlib.ExitStack() as running:
        store = running.enter_context(contextlib.closing(Store(folder, largest_object=door.limits.object_bytes)))
        arrivals = Arrivals()
        shop = Shop(store, wanted, ready, caller, retry_s=retry_s, arrivals=arrivals, since=time.time(), guard=own)
        handlers = commitment.handlers(store, by_title, caller=caller, told=heard(shop))
        running.enter_context(working(shop, pause_s=pause_s))
        if beside is not None:
            running.enter_context(beside(store))
        yield running.enter_context(listening(door, store, arrivals=arrivals, handlers=handlers, guard=own))


def serving_web(
    door: Door, port: int, guard: Guard, *, public: str | None = None, origins: Sequence[str] = ()
) -> Callable[[Store], contextlib.AbstractContextManager[object]]:
    """DICOMweb for `station` to run beside.

    Args:
        door: The same host and TLS files; its networks and AE titles do not count here, tokens do.
        port: TCP port.
        guard: Roles and audit chain.
        public: Address as others know it, see `vesalius.server.dicomweb.app.create_app`.
        origins: Of pages that browsers let ask, see there.

    Raises:
        VesaliusError: There are no roles, or others than this machine could connect without encryption.
    """
    if door.tls is None and not ipaddress.ip_address(door.host).is_loopback:
        raise VesaliusError(
            "DICOMweb for others than this machine needs TLS: tokens would go over the network readable"
        )

    @contextlib.contextmanager
    def beside(store: Store) -> Iterator[None]:
        import uvicorn

        tls = {} if door.tls is None else {"ssl_certfile": door.tls.certificate, "ssl_keyfile": door.tls.key}
        server = uvicorn.Server(
            settings_of(create_app(store, guard, public=public, origins=origins), door.host, port, tls)
        )
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.02)
        if not server.started:
            raise VesaliusError(f"cannot listen at port {port}")
        try:
            yield
        finally:
            server.should_exit = True
            thread.join(timeout=10)

    return beside
