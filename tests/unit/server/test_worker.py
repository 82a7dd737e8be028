"""Rules are carried out once, at whatever point the process is cut off; a peer is played by functions."""

import sqlite3
import time
from contextlib import closing
from dataclasses import replace

import numpy as np
import pydicom
import pytest

from vesalius.bundle.calibration import Calibration
from vesalius.errors import GeometryError
from vesalius.image import LabelMap, Labels
from vesalius.io.dicom import read_report
from vesalius.io.dicom.segments import read_seg
from vesalius.server import queue, worker
from vesalius.server.node.commitment import Report
from vesalius.server.node.peers import Caller, Peer, PeerError, RefusedError
from vesalius.server.node.send import Sent
from vesalius.server.rules import Promising, Rule, Rules
from vesalius.server.store import Store

RULE = Rule("dense", {"Modality": "CT"}, {"method": "otsu"}, ("pacs",), results=("segmentation",), settle_s=0.0)
RULES = Rules({"pacs": Peer("PACS", "127.0.0.1", 104)}, (RULE,))


class Killed(BaseException):
    """The process ends here."""


class Pacs:
    """Takes objects, and counts how often it is sent each."""

    def __init__(self, monkeypatch):
        self.taken = []
        self.asked = 0
        self.queries = True
        self.there = True
        self.answers = "stored"
        self.commitments = []
        monkeypatch.setattr(worker, "send", self.send)
        monkeypatch.setattr(worker, "find", self.find)
        monkeypatch.setattr(worker, "request", self.request)

    def send(self, peer, parcels, *, caller):
        if not self.there:
            raise PeerError("cannot be reached")
        for parcel in parcels:
            if self.answers == "stored":
                self.taken.append((parcel.uid, parcel.path.read_bytes()))
            yield Sent(parcel.uid, self.answers, 0)

    def find(self, peer, level, keys, *, caller):
        self.asked += 1
        if not self.queries:
            raise RefusedError("does no queries")
        if not self.there:
            raise PeerError("cannot be reached")
        found = pydicom.Dataset()
        found.SOPInstanceUID = keys["SOPInstanceUID"]
        return (found,) if keys["SOPInstanceUID"] in dict(self.taken) else ()

    def request(self, peer, transaction, objects, *, caller):
        self.commitments.append((transaction, objects))


@pytest.fixture
def pacs(monkeypatch):
    return Pacs(monkeypatch)


def dense(image):
    return LabelMap((image.array[0] > 0).astype(np.uint8), image.grid, Labels.of({"block": 1}))


def shop(store, rules=RULES, segment=dense, **how):
    return worker.Shop(store, rules, {rule.name: segment for rule in rules.rules}, Caller(), retry_s=0.0, **how)


def all_done(one, rounds=20):
    for _ in range(rounds):
        worker.make_one(one)
        worker.send_due(one)


def fill(store, files):
    for path in files:
        store.add_file(path)


def test_from_images_to_the_peer(store, ct, pacs):
    fill(store, ct)
    all_done(shop(store))
    ((uid, data),) = pacs.taken
    assert queue.summary(store.database) == {"objects": {"kept": 5}, "work": {"made": 1}, "deliveries": {"sent": 1}}
    (path,) = store.results.rglob("*.dcm")
    assert path.read_bytes() == data
    assert str(pydicom.dcmread(path).SOPInstanceUID) == uid
    assert read_seg(path).array.sum() == 5 * 5 * 3
    assert pacs.asked == 0


def test_a_calibrated_bundle_promises_sizes_in_the_report(store, ct, pacs):
    promised = Calibration(on="9 cases", cases=9, persons=9, level=0.8, factors={"block": (0.75, 1.5)})
    rules = replace(RULES, rules=(replace(RULE, results=("report",)),))
    fill(store, ct)
    all_done(shop(store, rules, Promising(dense, promised)))
    (path,) = store.results.rglob("*-report.dcm")
    (block,) = read_report(path)
    (interval,) = block.others
    assert (interval.low, interval.high, interval.level) == pytest.approx(
        (0.75 * block.volume_ml, 1.5 * block.volume_ml, 0.8)
    )
    assert (interval.method.value, interval.unit) == ("CONFORMAL", "cm3")


def test_made_anew_in_another_store_it_is_the_same_object(tmp_path, store, ct, pacs):
    fill(store, ct)
    all_done(shop(store))
    with closing(Store(tmp_path / "other")) as other:
        fill(other, ct[::-1])
        all_done(shop(other))
    assert len({uid for uid, _ in pacs.taken}) == 1


# Each is a moment at which the process ends: (owner, name of what is called, before or after it is done).
MOMENTS = [
    *((queue, name, when) for name in ("enrol", "take_work", "finish_work") for when in ("before", "after")),
    *((worker, "make_results", when) for when in ("before", "after")),
    *((worker, "_mark", when) for when in ("before", "after")),
    *((worker, "_note", when) for when in ("before", "after")),
    *((worker, "path_of", when) for when in ("before",)),
]


@pytest.mark.parametrize(("owner", "name", "when"), MOMENTS)
@pytest.mark.parametrize("times", [1, 3])
def test_killed_at_any_moment_nothing_is_lost_or_sent_twice(tmp_path, ct, pacs, monkeypatch, owner, name, when, times):
    with closing(Store(tmp_path / "s")) as store:
        fill(store, ct)
    real, left = getattr(owner, name), [times]

    def deadly(*arguments, **more):
        if left[0] and when == "before":
            left[0] -= 1
            raise Killed
        made = real(*arguments, **more)
        if left[0]:
            left[0] -= 1
            raise Killed
        return made

    monkeypatch.setattr(owner, name, deadly)
    for _ in range(times + 1):
        with closing(Store(tmp_path / "s")) as store:
            try:
                all_done(shop(store))
            except Killed:
                continue
            summary = queue.summary(store.database)
    assert left[0] < times, "it was not killed"
    assert summary["work"] == {"made": 1}
    assert summary["deliveries"] == {"sent": 1}
    assert len(pacs.taken) == 1


def test_what_was_half_made_is_cleared_away(tmp_path, ct, pacs):
    with closing(Store(tmp_path / "s")) as store:
        fill(store, ct)
        (store.results / ".part-1" / "more").mkdir(parents=True)
        (store.results / ".part-2").write_bytes(b"half")
    with closing(Store(tmp_path / "s")) as store, worker.working(shop(store), pause_s=0.01):
        for _ in range(1000):
            if queue.summary(store.database)["deliveries"] == {"sent": 1}:
                break
            time.sleep(0.02)
        assert [path.name for path in store.results.iterdir() if path.name.startswith(".")] == []
    assert len(pacs.taken) == 1


def test_an_answer_that_was_lost_is_asked_for(store, ct, pacs, monkeypatch):
    fill(store, ct)

    def send_and_break(peer, parcels, *, caller):
        pacs.taken.append((parcels[0].uid, b""))
        raise PeerError("broke off")
        yield

    monkeypatch.setattr(worker, "send", send_and_break)
    worker.make_one(shop(store))
    worker.send_due(shop(store))
    monkeypatch.setattr(worker, "send", pacs.send)
    all_done(shop(store))
    assert len(pacs.taken) == 1
    assert queue.summary(store.database)["deliveries"] == {"sent": 1}


def test_a_peer_without_queries_gets_the_same_object_again(store, ct, pacs, monkeypatch):
    fill(store, ct)
    pacs.queries = False
    monkeypatch.setattr(worker, "_note", lambda *_: (_ for _ in ()).throw(Killed))
    worker.make_one(shop(store))
    with pytest.raises(Killed):
        worker.send_due(shop(store))
    monkeypatch.undo()
    again = Pacs(monkeypatch)
    again.queries = False
    all_done(shop(store))
    assert again.taken == pacs.taken  # UID and bytes
    assert len(again.taken) == 1


def test_a_peer_that_is_away_gets_it_later(store, ct, pacs):
    fill(store, ct)
    pacs.there = False
    all_done(shop(store))
    assert pacs.taken == []
    pacs.there = True
    all_done(shop(store))
    assert len(pacs.taken) == 1


def test_what_a_peer_refuses_is_kept_and_told(store, ct, pacs):
    fill(store, ct)
    pacs.answers = "refused"
    all_done(shop(store))
    assert queue.summary(store.database)["deliveries"] == {"refused": 1}
    assert len(list(store.results.rglob("*.dcm"))) == 1


def test_what_a_peer_has_no_room_for_is_tried_again(store, ct, pacs):
    fill(store, ct)
    pacs.answers = "later"
    all_done(shop(store))
    pacs.answers = "stored"
    all_done(shop(store))
    assert len(pacs.taken) == 1


def test_a_series_is_left_alone_while_it_comes(store, ct, pacs):
    class Coming:
        def unfinished(self):
            return {(i.study, i.series) for i in store.instances()}

    fill(store, ct)
    all_done(shop(store, arrivals=Coming()))
    assert pacs.taken == []
    slow = Rules(
        RULES.peers,
        (Rule("dense", {"Modality": "CT"}, {"method": "otsu"}, ("pacs",), ("segmentation",), settle_s=3600),),
    )
    all_done(shop(store, rules=slow))
    assert pacs.taken == []
    with store.database.transaction() as sql:
        sql.execute("UPDATE series SET touched = 0")
    all_done(shop(store, rules=slow, since=time.time()))  # old images, and a node that has only begun
    assert pacs.taken == []
    all_done(shop(store, rules=slow))
    assert len(pacs.taken) == 1


def test_images_that_come_later_are_new_work(store, ct, pacs):
    fill(store, ct[:-2])  # the files are in another order than the slices: some are missing in the middle
    all_done(shop(store))
    before = queue.summary(store.database)["work"]
    fill(store, ct)
    all_done(shop(store))
    assert sum(before.values()) == 1
    assert sum(queue.summary(store.database)["work"].values()) == 2
    assert len({uid for uid, _ in pacs.taken}) == len(pacs.taken) >= 1


def test_small_series_and_others_are_left_alone(store, ct, pacs):
    few = Rule("few", {"Modality": "CT"}, {"method": "otsu"}, ("pacs",), images=6, settle_s=0)
    head = Rule("head", {"BodyPartExamined": "HEAD"}, {"method": "otsu"}, ("pacs",), settle_s=0)
    fill(store, ct)
    all_done(shop(store, rules=Rules(RULES.peers, (few, head))))
    assert queue.summary(store.database)["work"] == {}


def test_a_result_that_comes_back_is_not_segmented(store, ct, pacs):
    rule = Rule("all", {"Modality": "*"}, {"method": "otsu"}, ("pacs",), ("segmentation",), settle_s=0)
    everything = Rules(RULES.peers, (rule,))
    fill(store, ct)
    all_done(shop(store, rules=everything))
    store.add((pacs.taken[0][1],))
    all_done(shop(store, rules=everything))
    assert queue.summary(store.database)["work"] == {"made": 1}
    assert len(pacs.taken) == 1


def test_a_series_that_cannot_be_done_does_not_stop_the_rest(store, ct, pacs, caplog):
    def wrong(image):
        raise GeometryError("slices are missing")

    fill(store, ct)
    all_done(shop(store, segment=wrong))
    assert queue.summary(store.database)["work"] == {"failed": 1}
    assert "slices are missing" in caplog.text
    assert not list(store.results.iterdir())


def test_nothing_found_is_said(store, ct, pacs):
    fill(store, ct)
    empty = Labels.of({"block": 1})
    all_done(shop(store, segment=lambda image: LabelMap(np.zeros(image.grid.shape, np.uint8), image.grid, empty)))
    (row,) = store.database.rows("SELECT * FROM work")
    assert row["state"] == "failed"
    assert "nothing was found" in row["error"]


def test_what_nobody_foresaw_is_tried_again_and_its_words_are_not_told(store, ct, pacs, caplog):
    def wrong(image):
        raise RuntimeError("CANARY^PHANTOM")

    fill(store, ct)
    all_done(shop(store, segment=wrong), rounds=3)
    assert store.database.rows("SELECT * FROM work")[0]["tries"] == 3
    assert "CANARY" not in caplog.text
    assert "RuntimeError" in caplog.text
    all_done(shop(store, segment=wrong), rounds=worker.MOST_TRIES)
    assert queue.summary(store.database)["work"] == {"failed": 1}


def test_commitment_is_asked_for_and_what_is_missing_is_sent_again(store, ct, pacs):
    rule = Rule("dense", {"Modality": "CT"}, {"method": "otsu"}, ("pacs",), ("segmentation",), settle_s=0, commit=True)
    one = shop(store, rules=Rules(RULES.peers, (rule,)))
    fill(store, ct)
    all_done(one)
    ((transaction, ((storage, uid),)),) = pacs.commitments
    assert storage == "1.2.840.10008.5.1.4.1.1.66.4"
    worker.heard(one)(Report("1.2.3", (uid,), ()))  # nobody asked for this
    assert queue.summary(store.database)["deliveries"] == {"asked": 1}
    worker.heard(one)(Report(transaction, (), (uid,)))
    assert queue.summary(store.database)["deliveries"] == {"due": 1}
    pacs.taken.clear()
    all_done(one)
    assert [sent for sent, _ in pacs.taken] == [uid]
    worker.heard(one)(Report(pacs.commitments[-1][0], (uid,), ()))
    assert queue.summary(store.database)["deliveries"] == {"committed": 1}


def test_what_is_in_a_transaction_is_there_whole_or_not_at_all(store):
    with pytest.raises(Killed), store.database.transaction() as sql:
        sql.execute("INSERT INTO studies VALUES ('1', '{}')")
        raise Killed
    assert store.database.rows("SELECT * FROM studies") == []
    with pytest.raises(sqlite3.OperationalError), store.database.transaction() as sql:
        sql.execute("INSERT INTO studies VALUES ('1', '{}')")
        sql.execute("nonsense")
    assert store.database.rows("SELECT * FROM studies") == []
