"""A node that is killed for good at random moments, between a sender of images and Orthanc, who gets the results."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from guards import make_keys
from hospital import write_ct
from orthanc import Orthanc, free_port, orthanc

from vesalius.image import Grid
from vesalius.privacy.access import change_role
from vesalius.privacy.audit import account
from vesalius.privacy.verify import verify
from vesalius.server.node.peers import Caller, Peer, PeerError
from vesalius.server.node.send import parcels_of, send
from vesalius.server.queue import look

# On a busy machine a sender that was cut off may come back later than a series settles: ten images are a whole one.
RULES = """
[peers.pacs]
ae_title = "ORTHANC"
host = "127.0.0.1"
port = {port}
[[rules]]
name = "dense"
when = {{ Modality = "CT", BodyPartExamined = "CHEST" }}
segment = {{ method = "threshold", above = 0.0 }}
results = {results}
settle_s = 1.0
images = 10
send_to = ["pacs"]
"""
PROGRAM = [sys.executable, "-c", "from vesalius.cli import main; raise SystemExit(main())", "dicom-node"]
RESULTS = ("segmentation", "report")


@dataclass
class Outcome:
    """What was sent in, and what came out."""

    series: int
    images: int
    kept: int
    made: int
    sent: int
    arrivals: Counter[str]
    at_pacs: Counter[str]
    when: Counter[str]
    chained: bool
    noted: Counter[str]

    @property
    def lost(self) -> int:
        wanted = self.series * len(RESULTS)
        return (self.images - self.kept) + (self.series - self.made) + (wanted - sum(self.at_pacs.values()))

    @property
    def twice(self) -> int:
        return sum(count - 1 for count in self.arrivals.values()) + sum(self.at_pacs.values()) - len(self.arrivals)


@contextmanager
def serving(store: Path, rules: Path, port: int, *more: str) -> Iterator[subprocess.Popen[str]]:
    """A node in a process of its own, from the moment at which the process is there."""
    words = ["serve", store, "--rules", rules, "--port", port, "--retry", "0.2", *more]
    with subprocess.Popen(
        [*PROGRAM, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as it:
        try:
            yield it
        finally:
            it.kill()


def write_series(folder: Path, number: int) -> list[Path]:
    """A CT series of ten slices with a dense block whose size the number decides."""
    grid = Grid.from_spacing((32, 32, 10), (0.8, 0.8, 2.5))
    hu = np.full(grid.shape, -900.0)
    hu[4 : 10 + number % 16, 6:20, 2:8] = 60.0
    return sorted(write_ct(folder / f"series{number}", grid, hu).rglob("*.dcm"))


def hand_over(files: list[Path], port: int) -> list[Path]:
    """Send files to the node; returns those that it did not confirm."""
    left = {parcel.uid: parcel.path for parcel in parcels_of(files)[0]}
    try:
        for told in send(Peer("VESALIUS", "127.0.0.1", port), parcels_of(files)[0], caller=Caller("MODALITY")):
            if told.fate == "stored":
                del left[told.uid]
    except PeerError:
        pass
    return list(left.values())


def kill_again_and_again(work: Path, *, kills: int, seed: int = 0) -> Outcome:
    """Kill the node, go on, and count what came out."""
    moments, port = random.Random(seed), free_port()
    with orthanc(work / "orthanc", modalities={"VESALIUS": port}) as pacs:
        rules, store = work / "rules.toml", work / "store"
        rules.write_text(RULES.format(port=pacs.port, results=list(RESULTS)))
        # Under roles and with an audit chain, as in earnest.
        keys = make_keys(work, titles={"MODALITY": "scanner"})
        change_role(keys.access, account(), "annotator", granted=True)
        (work / "vesalius-privacy.toml").write_text('access = "access.json"\naudit = "audit"\n')
        files = write_series(work, 0)
        with serving(store, rules, port) as it:
            assert it.stdout is not None
            it.stdout.readline()
            began = time.monotonic()
            left = hand_over(files, port)
            handed = time.monotonic() - began
            wait_until_done(store, it, series=1)
            took = time.monotonic() - began
        images, when, cut = len(files), Counter[str](), 0
        for number in range(1, kills + 1):
            files = write_series(work, number)
            images += len(files)
            with serving(store, rules, port) as it:
                assert it.stdout is not None
                it.stdout.readline()
                # Half of the moments while images come in, half while they are segmented and sent.
                killer = threading.Timer(moments.uniform(0, handed if number % 2 else took * 1.1), it.kill)
                killer.start()
                left = hand_over(left + files, port)
                it.wait()
                killer.join()
            cut += bool(left)
            when[state_of(store)] += not left
        with serving(store, rules, port) as it:
            assert it.stdout is not None
            it.stdout.readline()
            for _ in range(20):
                left = hand_over(left, port) if left else []
                assert it.poll() is None, "the node has ended by itself"
                time.sleep(0.2 if left else 0)
            assert not left, f"the node does not take {len(left)} objects"
            wait_until_done(store, it, series=kills + 1)
        told = look(store)
        return Outcome(
            kills + 1,
            images,
            told["objects"]["kept"],
            told["work"].get("made", 0),
            told["deliveries"].get("sent", 0),
            Counter(pacs.arrivals()),
            Counter(at(pacs)),
            when + Counter({"while images came in": cut}),
            verify(keys.chain).broken is None,
            Counter(f"{one.act} {one.about['state']}" for one in keys.noted() if "state" in one.about),
        )


def at(pacs: Orthanc) -> list[str]:
    """The UIDs of all objects that Orthanc has."""
    return [one["MainDicomTags"]["SOPInstanceUID"] for one in pacs.ask("/instances?expand")]


def state_of(store: Path) -> str:
    """What was going on when the node was killed."""
    told = look(store)
    work, out = told["work"], told["deliveries"]
    if work.get("begun"):
        return "while a series was segmented"
    if out.get("begun"):
        return "while results were sent"
    return "while results waited" if work.get("due") or out.get("due") else "before or after"


def wait_until_done(store: Path, node: subprocess.Popen[str], *, series: int, most_s: float = 120.0) -> None:
    """Wait for all results to be sent; fails when one cannot be made."""
    end = time.monotonic() + most_s
    while time.monotonic() < end:
        assert node.poll() is None, "the node has ended by itself"
        told = look(store)
        assert "failed" not in told["work"], told
        if told["work"] == {"made": series} and told["deliveries"] == {"sent": series * len(RESULTS)}:
            return
        time.sleep(0.05)
    raise AssertionError(f"not done after {most_s:.0f} s: {look(store)}")
