"""Carry rules out: what is complete is segmented, what is made is sent, once each.

The guarantee. An object whose C-STORE or STOW was answered with success is on the disk, and every rule that fits
its series is carried out on it, whatever moment the process is killed at. Each result exists once: its UID follows
from the rule and the images, its bytes are written once and never again, and so it is the same object for whoever
gets it. It is sent again only if nobody noted that it was sent *and* the peer, asked by C-FIND, does not have it.
Without an answer to C-FIND (a peer that does not do queries, or that takes what it was sent into its index only
later) an object can go over the wire a second time; it is the same object, which the peer knows by its UID. It is
never lost, and never there twice.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby

from vesalius.errors import VesaliusError
from vesalius.server import queue
from vesalius.server.described import describe_object
from vesalius.server.guard import Guard
from vesalius.server.identity import made_uid
from vesalius.server.node.commitment import Report, request
from vesalius.server.node.listen import Arrivals
from vesalius.server.node.peers import Caller, Peer, PeerError, RefusedError
from vesalius.server.node.query import find
from vesalius.server.node.send import Parcel, Sent, send
from vesalius.server.results import clean_up, make_results, path_of
from vesalius.server.rules import RESULTS, Rules, Segment
from vesalius.server.store import Store

log = logging.getLogger(__name__)

COMMIT_S = 600.0
"""After which a peer is asked again that has not reported."""


MOST_TRIES = 50
"""Of a piece of work that ends the process each time, or fails in a way that nobody foresaw."""


@dataclass(frozen=True, eq=False)
class Shop:
    """All that is needed to carry rules out.

    Args:
        store: Where images are and results go.
        rules: What is to be done.
        segmenters: By name of the rule.
        caller: Who sends.
        retry_s: Before the first try again after a failure; doubled each time.
        arrivals: Which series are on their way.
        since: When the node began to listen, seconds since 1970.
        guard: Roles and audit chain.
    """

    store: Store
    rules: Rules
    segmenters: Mapping[str, Segment]
    caller: Caller
    retry_s: float = 10.0
    arrivals: Arrivals | None = None
    since: float = 0.0
    guard: Guard = field(default_factory=Guard)


def make_one(shop: Shop) -> bool:
    """Take up what is complete, and carry out one piece of work.

    Args:
        shop: What is needed.

    Returns:
        Whether there was something to do.
    """
    database = shop.store.database
    unfinished = shop.arrivals.unfinished() if shop.arrivals is not None else frozenset()
    added = queue.enrol(database, shop.rules, now=time.time(), since=shop.since, unfinished=unfinished)
    work = queue.take_work(database, now=time.time(), retry_s=shop.retry_s)
    if work is None:
        return bool(added)
    rule = shop.rules.named(work.rule)
    # What cannot be noted raises here, is left as begun, and is tried again.
    shop.guard.note_own("segmented", "begun", service="rule", studies=[work.study])
    try:
        if work.tries > MOST_TRIES:
            raise VesaliusError(f"it ended the process or failed unforeseen {MOST_TRIES} times")
        if rule is None:
            raise VesaliusError("the rule is no longer there")
        series = shop.store.series_folder(work.study, work.series)
        if queue.digest_of(database, work.study, work.series)[0] != work.digest:
            raise VesaliusError("further images came to the series, which is done anew with them")
        results = make_results(work, rule, series, shop.store.results, shop.segmenters[rule.name])
    except VesaliusError as error:
        log.warning("%s: a series could not be done: %s", work.rule, error)
        shop.guard.note_own("segmented", "failed", service="rule", studies=[work.study])
        queue.end_work(database, work, str(error))
    except Exception as error:  # its words may hold anything; it is tried again, in case it was the machine
        log.error("%s: a series could not be done: %s", work.rule, type(error).__name__)  # noqa: TRY400
    else:
        shop.guard.note_own("segmented", "done", service="rule", studies=[work.study], objects=len(results))
        queue.finish_work(database, work, results, rule.send_to)
        log.info("%s: %d results were made", work.rule, len(results))
    return True


def send_due(shop: Shop) -> int:
    """Send what is due, and ask for storage commitment where a rule wants it.

    Args:
        shop: What is needed.

    Returns:
        How many objects have been sent, or were found to have arrived before.
    """
    now = time.time()
    arrived = 0
    for name, group in groupby(queue.deliveries(shop.store.database, now=now), key=lambda one: one.peer):
        due = list(group)
        peer = shop.rules.peers.get(name)
        if peer is None:
            _mark(shop, due, "refused", error="there is no such peer any more")
            continue
        try:
            arrived += _send(shop, peer, due)
        except PeerError as error:
            log.warning("%s: not sent: %s", name, error)
            tries = 1 + min(one.tries for one in due)
            still = {(one.result.uid, one.peer) for one in queue.deliveries(shop.store.database, now=now)}
            left = [one for one in due if (one.result.uid, one.peer) in still]
            wait = queue.wait_s(tries, shop.retry_s)
            queue.put_off(shop.store.database, [(one.result.uid, one.peer) for one in left], tries, now + wait)
    for name, peer in shop.rules.peers.items():
        _commit(shop, name, peer)
    return arrived


def _send(shop: Shop, peer: Peer, due: list[queue.Delivery]) -> int:
    """Send to one peer; what is in doubt and there already is not sent."""
    doubtful = [one for one in due if one.in_doubt and _has(peer, one, shop.caller)]
    _mark(shop, doubtful, "sent", next_try=0)
    there = {one.result.uid for one in doubtful}
    rest = {one.result.uid: one for one in due if one.result.uid not in there}
    parcels = [_parcel(shop, one) for one in rest.values()]
    if parcels:
        studies = {one.result.study for one in rest.values()}
        shop.guard.note_own("exported", "begun", service="C-STORE", studies=studies, objects=len(parcels))
    # Before anything goes out: from here on nobody knows, until the answer is written down.
    _mark(shop, list(rest.values()), "begun")
    if not parcels:
        return len(doubtful)
    stored = 0
    try:
        for told in send(peer, parcels, caller=shop.caller):
            stored += _note(shop, rest[told.uid], told)
    finally:
        state = "done" if stored == len(parcels) else "failed"
        shop.guard.note_own("exported", state, service="C-STORE", studies=studies, objects=stored)
    return stored + len(doubtful)


def _note(shop: Shop, one: queue.Delivery, told: Sent) -> bool:
    if told.fate == "stored":
        _mark(shop, [one], "sent", error="", next_try=0)
    elif told.fate == "later":
        tries = one.tries + 1
        wait = time.time() + queue.wait_s(tries, shop.retry_s)
        _mark(shop, [one], "due", error=told.reason, tries=tries, next_try=wait)
    else:
        log.error("%s: a result was refused: %s", one.peer, told.reason)
        _mark(shop, [one], "refused", error=told.reason)
    return told.fate == "stored"


def _has(peer: Peer, one: queue.Delivery, caller: Caller) -> bool:
    """Whether a peer says that it has an object; False when it does not do queries."""
    wanted = one.result
    keys = {"StudyInstanceUID": wanted.study, "SeriesInstanceUID": wanted.series, "SOPInstanceUID": wanted.uid}
    try:
        found = find(peer, "IMAGE", keys, caller=caller)
    except RefusedError:
        return False
    return any(str(answer.get("SOPInstanceUID", "")) == wanted.uid for answer in found)


def _parcel(shop: Shop, one: queue.Delivery) -> Parcel:
    path = path_of(shop.store.results, one.work, RESULTS.index(one.result.kind), one.result.kind)
    return Parcel(one.result.uid, one.result.storage, describe_object(path).syntax, path)


def _mark(shop: Shop, ones: list[queue.Delivery], state: str, **more: object) -> None:
    queue.mark(shop.store.database, [(one.result.uid, one.peer) for one in ones], state, **more)


def _commit(shop: Shop, name: str, peer: Peer) -> None:
    wanting = [rule.name for rule in shop.rules.rules if rule.commit and name in rule.send_to]
    objects = queue.to_commit(shop.store.database, name, wanting, now=time.time())
    if not objects:
        return
    transaction = made_uid("commitment", name, str(time.time_ns()), *(uid for _, uid in objects))
    ones = [(uid, name) for _, uid in objects]
    # Written down before it is asked: the report may be here before the answer.
    queue.mark(shop.store.database, ones, "asked", asked=transaction, next_try=time.time() + COMMIT_S)
    try:
        request(peer, transaction, objects, caller=shop.caller)
    except PeerError as error:
        log.warning("%s: cannot be asked for storage commitment: %s", name, error)


def heard(shop: Shop) -> Callable[[Report], None]:
    """What to do with a report on storage commitment."""

    def note(report: Report) -> None:
        queue.committed(shop.store.database, report.transaction, report.kept, report.missing)

    return note


@contextlib.contextmanager
def working(shop: Shop, *, pause_s: float = 1.0) -> Iterator[None]:
    """Carry rules out while the block runs: one thread segments, another sends.

    Args:
        shop: What is needed.
        pause_s: When there is nothing to do.
    """
    clean_up(shop.store.results)
    queue.hurry(shop.store.database)
    stop = threading.Event()

    def repeat(step: Callable[[Shop], int]) -> None:
        while not stop.is_set():
            try:
                busy = step(shop)
            except Exception as error:  # a thread that ended would be work that is never done
                log.error("something unforeseen: %s", type(error).__name__)  # noqa: TRY400
                busy = 0
            if not busy:
                stop.wait(pause_s)

    threads = [threading.Thread(target=repeat, args=(step,), daemon=True) for step in (make_one, send_due)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=30)
