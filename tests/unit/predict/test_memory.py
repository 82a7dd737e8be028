"""Memory that is planned: what is chosen, what is refused, and what a process really takes."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from phantoms import drawn_bundle

from vesalius.errors import PlanError
from vesalius.image import Grid, Labels, Volume
from vesalius.nets import UNetSpec
from vesalius.nets.cost import forward_bytes
from vesalius.predict import memory, segment
from vesalius.predict.memory import choose_walk, held_axis, needed_bytes, room_bytes, taken_bytes
from vesalius.predict.window import Walk

CPU = torch.device("cpu")


@pytest.fixture
def room(monkeypatch):
    """Sets what may still be taken."""

    def set_to(size: int) -> None:
        monkeypatch.setattr(memory, "room_bytes", lambda _memory_gib: size)

    return set_to


@pytest.fixture(scope="module")
def plan(bundle):
    network = UNetSpec.plain(ndim=3, in_channels=1, out_channels=60, features=(8, 16))
    labels = Labels.of({f"organ {number}": number for number in range(1, 60)})
    return replace(bundle.plan, network=network, labels=labels, patch_size=(32, 32, 32), batch_size=4)


HOW = {"overlap": 0.5, "views": 1, "device": CPU}
SHAPE, TARGET = (70, 80, 140), (140, 160, 140)


def test_thrift_grows_as_room_shrinks(plan, room):
    seen = []
    for size in np.geomspace(8e9, 1e8, 500):
        room(int(size))
        try:
            walk = choose_walk(plan, SHAPE, TARGET, **HOW)
        except PlanError:
            break
        assert needed_bytes(plan, SHAPE, TARGET, walk, **HOW) <= size
        if walk not in seen:
            seen.append(walk)
    assert [(w.batch_size, w.held_as, w.remember, w.ahead) for w in seen] == [
        (4, torch.float32, True, 1),
        (2, torch.float32, True, 1),
        (1, torch.float32, True, 1),
        (1, torch.float32, False, 1),
        (1, torch.float32, False, 0),
        (1, torch.float16, True, 1),
        (1, torch.float16, False, 1),
        (1, torch.float16, False, 0),
    ]
    assert {w.axis for w in seen} == {2}


def test_what_cannot_be_is_an_error_that_says_how_much_it_takes(plan, room):
    room(1 << 20)
    with pytest.raises(PlanError, match=r"segmenting \(140, 160, 140\) voxels in windows of \(32, 32, 32\) takes 0.\d"):
        choose_walk(plan, SHAPE, TARGET, **HOW)
    with pytest.raises(PlanError, match=r"and memory_gib is 0.5: allow that much"):
        choose_walk(plan, SHAPE, TARGET, memory_gib=0.5, **HOW)


def test_partners_whole_logits_and_mirroring_take_more(plan):
    walk = choose_walk(plan, SHAPE, TARGET, **HOW)
    plain = needed_bytes(plan, SHAPE, TARGET, walk, **HOW)
    assert needed_bytes(plan, SHAPE, TARGET, walk, **(HOW | {"views": 8})) > plain
    assert needed_bytes(plan, SHAPE, TARGET, walk, whole=True, **HOW) > plain + 60 * 4 * 140 * 160 * 140
    several = needed_bytes(plan, SHAPE, TARGET, walk, engines=8, **HOW)
    assert several > plain
    assert needed_bytes(plan, SHAPE, TARGET, walk, engines=8, **(HOW | {"device": torch.device("cuda")})) <= plain


def test_networks_side_by_side_share_the_room(plan, room):
    room(int(1.5 * needed_bytes(plan, SHAPE, TARGET, Walk(axis=2, batch_size=4), **HOW)))
    assert choose_walk(plan, SHAPE, TARGET, **HOW) == Walk(axis=2, batch_size=4)
    assert choose_walk(plan, SHAPE, TARGET, parts=2, **HOW).batch_size < 4


def test_a_batch_has_no_more_windows_than_a_slab(plan):
    assert choose_walk(plan, (32, 32, 90), (32, 32, 90), **HOW).batch_size == 1
    assert choose_walk(plan, (32, 40, 90), (32, 40, 90), **HOW).batch_size == 2


def test_slabs_run_along_the_axis_along_which_least_is_held():
    assert held_axis((100, 90, 80), (32, 32, 32)) == 0
    assert held_axis((80, 80, 80), (32, 32, 32)) == 0
    assert held_axis((80, 80, 80), (32, 32, 16)) == 2
    assert held_axis((20, 80, 10), (32, 32, 32)) == 1  # padded to (32, 80, 32)


def test_room_is_what_may_be_taken_without_what_has_been():
    taken = taken_bytes()
    assert abs(room_bytes(8.0) + taken - (8 << 30)) < 1 << 28
    assert room_bytes() > 0
    for amount in (0.0, -1.0, float("nan")):
        with pytest.raises(PlanError, match="memory_gib must be a positive number"):
            room_bytes(amount)


def test_an_image_that_cannot_even_be_prepared(bundle):
    image = Volume(np.broadcast_to(np.int16(3), (1, 1000, 1000, 1000)), Grid.from_spacing((1000,) * 3, (1.0,) * 3))
    with pytest.raises(PlanError, match=r"preparing an image of \(1000, 1000, 1000\) voxels takes 1\d.\d\d GiB in all"):
        segment(image, bundle, memory_gib=4)


def test_less_memory_changes_nothing_but_rounding(bundle, image, room):
    many = drawn_bundle(replace(bundle.plan, batch_size=4), seed=3)
    expected = segment(image, many)
    assert expected.provenance["logits_held_as"] == "float32"
    plan, shape = many.plan, image.grid.shape
    thrifty = replace(choose_walk(plan, shape, shape, **HOW), batch_size=1, held_as=torch.float16)
    room(needed_bytes(plan, shape, shape, thrifty, engines=2, **HOW))
    found = segment(image, many)
    assert found.provenance["logits_held_as"] in ("float32", "float16")
    assert np.mean(found.labels.array == expected.labels.array) > 0.99


def test_a_forward_pass_is_counted():
    net = UNetSpec.plain(ndim=2, in_channels=1, out_channels=3, features=(4, 8))
    size = forward_bytes(net, (16, 16))
    one = 16 * 16 * 4  # a channel
    assert 12 * one < size < 48 * one  # the last layers have eight channels in and four out
    assert forward_bytes(net, (32, 32)) == pytest.approx(4 * size, rel=0.01)
    assert forward_bytes(net, (16, 16), value_bytes=2) == size // 2


CHEAP = r'''
import json, re, sys
from pathlib import Path
import numpy as np, torch
from dataclasses import replace
from vesalius.bundle import Bundle
from vesalius.image import Grid, Labels, Volume
from vesalius.predict import load_segmenter, segment
from vesalius.predict.memory import taken_bytes

class Cheap(torch.nn.Module):
    """The class whose number is nearest to the value."""
    numbers = torch.arange(60.0)[:, None, None, None]
    def forward(self, x):
        made = torch.sub(x, self.numbers, out=torch.empty(len(x), 60, *x.shape[2:]))
        return made.square_().neg_()

ready = load_segmenter(Bundle.load(sys.argv[1]), device="cpu", backend="torch-float32")
ready = replace(ready, networks=(torch.nn.ParameterList([torch.zeros(1)]),))
object.__setattr__(ready, "run", lambda window, count: Cheap())
i, j, k = np.ogrid[:96, :96, :96]
array = (np.abs(i - 48) + np.abs(j - 48) + k)[None].astype(np.int16)
image = Volume(array, Grid.from_spacing((96,) * 3, (0.8, 0.8, 1.0)))
gib = (taken_bytes() + int(sys.argv[2])) / 2**30
found = segment(image, ready, memory_gib=gib, postprocess=False)
# Of this process alone: getrusage also counts what the parent had taken when it started this one.
peak = int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 2**20
print(json.dumps({"peak_gib": peak, "memory_gib": gib, **found.provenance}))
'''


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="peaks are told otherwise elsewhere")
@pytest.mark.parametrize(
    "walk", [Walk(axis=2, batch_size=4), Walk(axis=2, held_as=torch.float16, remember=False, ahead=0)]
)
def test_a_process_stays_under_what_it_may_take(walk, plan, tmp_path):
    drawn_bundle(plan, seed=1).save(tmp_path / "b")
    prepared = 77 * 77 * 96 * 4
    extra = prepared + needed_bytes(plan, (77, 77, 96), (96, 96, 96), walk, **HOW) + (8 << 20)
    ran = subprocess.run(
        [sys.executable, "-c", CHEAP, str(tmp_path / "b"), str(extra)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    told = json.loads(ran.stdout)
    assert told["peak_gib"] < told["memory_gib"]
    assert told["logits_held_as"] == str(walk.held_as).removeprefix("torch.")


def test_mirror_images_are_looked_at_together_where_a_slab_has_few_windows(plan, room):
    """The plan's batch of 4 is kept full; with little room they go through the network one by one."""
    room(int(8e9))
    one = (32, 32, 32)
    assert choose_walk(plan, one, one, **(HOW | {"views": 8})).looks == 4
    assert choose_walk(plan, one, one, **(HOW | {"views": 2})).looks == 2
    assert choose_walk(plan, SHAPE, TARGET, **(HOW | {"views": 8})).looks == 1
    walk = choose_walk(plan, one, one, **(HOW | {"views": 8}))
    room(needed_bytes(plan, one, one, walk, **(HOW | {"views": 8})) - 1)
    assert choose_walk(plan, one, one, **(HOW | {"views": 8})).looks < 4
