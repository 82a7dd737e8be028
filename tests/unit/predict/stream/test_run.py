"""Footage watched by two threads: order, pace, what is dropped, what is stale, and how it ends."""

import gc
import threading
import time
import weakref
from dataclasses import replace

import numpy as np
import pytest
from films import footage_of, picture

from vesalius import segment
from vesalius.errors import DataError, FormatError, PlanError
from vesalius.image import Volume
from vesalius.io import write
from vesalius.predict import load_segmenter
from vesalius.predict.stages import Look
from vesalius.predict.stream import FrameSegmenter, stream

PATIENCE = 20  # seconds until a test that hangs fails


@pytest.fixture(autouse=True)
def nothing_goes_on():
    """Every test ends both threads."""
    yield
    gc.collect()  # generators that a test let go of
    assert {"vesalius-capture", "vesalius-compute"}.isdisjoint(thread.name for thread in threading.enumerate())


def wait_until(there):
    ended = time.monotonic() + PATIENCE
    while not there():
        assert time.monotonic() < ended, "it did not come"
        time.sleep(0.001)


def test_every_frame_is_that_of_segment_and_in_order(segmenter):
    images = [picture(number) for number in range(7)]
    found = list(stream(footage_of(images), segmenter, every_frame=True))
    assert [one.frame.index for one in found] == list(range(7))
    for one, image in zip(found, images, strict=True):
        assert one.frame.image is image
        np.testing.assert_array_equal(one.labels.array, segment(image, segmenter).labels.array)
        assert (one.stale, one.dropped, one.anew) == (False, 0, False)
        assert 0 < one.computed_s <= one.waited_s + one.computed_s <= one.latency_s


def test_files_are_opened_by_their_path(segmenter, tmp_path):
    for number in range(3):
        write(picture(number), tmp_path / f"{number}.png")
    found = list(stream(tmp_path, segmenter, every_frame=True))
    assert [one.frame.index for one in found] == [0, 1, 2]
    np.testing.assert_array_equal(found[2].frame.image.array, picture(2).array)


def test_a_file_is_watched_at_its_own_pace(segmenter, clock):
    waits = []
    real = clock.wait
    clock.wait = lambda ended, seconds: waits.append(seconds) or real(ended, seconds)
    found = list(stream(footage_of(map(picture, range(5)), rate_hz=25), segmenter, clock=clock))
    assert waits == pytest.approx([0, 0.04, 0.04, 0.04, 0.04])
    assert found[-1].frame.index == 4
    assert found[-1].dropped == 5 - len(found)
    with pytest.raises(PlanError, match="test: does not say how many frames a second"):
        next(stream(footage_of(map(picture, range(5))), segmenter))


@pytest.mark.parametrize(("backend", "looks"), [("auto", 8), ("torch-float32", 1)])
def test_what_happens_now_waits_for_the_engine(flat, monkeypatch, clock, backend, looks):
    segmenter = load_segmenter(flat, device="cpu", backend=backend)
    looked, real = [], FrameSegmenter.labels
    monkeypatch.setattr(FrameSegmenter, "labels", lambda self, image: looked.append(image) or real(self, image))
    one = [picture(0)]
    assert [found.frame.index for found in stream(footage_of(one, rate_hz=25), segmenter, clock=clock)] == [0]
    assert looked == one * (looks + 1)
    looked.clear()
    assert len(list(stream(footage_of(one), segmenter, every_frame=True))) == 1
    assert looked == one, "what is done at leisure has no hurry to be ready"


def test_times_that_are_not_even_are_kept(segmenter, clock):
    footage = footage_of(map(picture, range(3)), rate_hz=10)
    uneven = replace(
        footage, frames=(replace(f, at_s=at) for f, at in zip(footage.frames, (0.0, 0.5, 0.6), strict=True))
    )
    began = clock.now()
    list(stream(uneven, segmenter, clock=clock))
    assert clock.now() - began == pytest.approx(0.6)


# --- what is dropped, and what is stale -------------------------------------------------------------------------------


def capturing():
    return any(thread.name == "vesalius-capture" for thread in threading.enumerate())


@pytest.mark.parametrize("queue", [1, 3])
def test_a_taker_that_stops_costs_frames_and_no_memory(segmenter, queue):
    alive = weakref.WeakSet()

    def images():
        for number in range(300):
            image = picture(number)
            alive.add(image)
            yield image
            del image

    results = stream(footage_of(images(), live=True), segmenter, queue=queue)
    found = [next(results)]
    wait_until(lambda: not capturing())
    # Those in the queue, the one whose result waits to be taken, and the one whose result was.
    assert len(alive) <= queue + 2
    found += results
    seen = [one.frame.index for one in found]
    assert 0 not in seen, "the first frame of a camera makes engines ready, and is old by then"
    assert seen == sorted(set(seen))
    assert seen[-queue:] == list(range(300 - queue, 300)), "the newest stay"
    assert found[-1].dropped == 299 - len(seen) > 200


def test_what_comes_late_is_flagged_and_the_next_is_fresh(segmenter, clock, monkeypatch):
    looked, go_on, real = [], threading.Event(), FrameSegmenter.labels
    monkeypatch.setattr(FrameSegmenter, "labels", lambda self, image: looked.append(image) or real(self, image))

    def wait_at_three(number):
        if number == 3:
            assert go_on.wait(PATIENCE)
            clock.go_on(0.3)  # the taker is away

    footage = footage_of(map(picture, range(100)), live=True, before=wait_at_three)
    results = stream(footage, segmenter, queue=2, clock=clock, stale_after_s=0.2)
    found = [next(results)]
    wait_until(lambda: len(looked) == 3)  # beforehand, the one that was taken, and the next
    go_on.set()
    wait_until(lambda: not capturing())
    found += results
    assert [one.frame.index for one in found] == [1, 2, 98, 99]
    assert [one.latency_s for one in found] == [0, pytest.approx(0.3), 0, 0]
    assert [one.stale for one in found] == [False, True, False, False]


def test_results_of_a_file_done_at_leisure_are_never_stale(segmenter, clock):
    for live, flags in ((False, {False}), (True, {True})):
        results = stream(
            footage_of(map(picture, range(4)), rate_hz=25, live=live), segmenter, every_frame=True, clock=clock
        )
        seen = set()
        for one in results:
            if one.frame.index > 1:
                seen.add(one.stale)
            clock.go_on(1.0)
        assert seen == flags


# --- how it ends ------------------------------------------------------------------------------------------------------


def test_an_error_of_the_footage_comes_after_the_frames_before_it(segmenter):
    def images():
        yield from map(picture, range(3))
        raise FormatError("unplugged")

    seen = []
    with pytest.raises(FormatError, match="unplugged"):
        seen.extend(one.frame.index for one in stream(footage_of(images()), segmenter, every_frame=True))
    assert seen == [0, 1, 2]


def test_an_error_of_the_segmenter_comes_through(segmenter, monkeypatch):
    real = FrameSegmenter.labels

    def fail_at_last(self, image):
        if image.array[0, 0, 0] == 7:
            raise MemoryError("too much")
        return real(self, image)

    monkeypatch.setattr(FrameSegmenter, "labels", fail_at_last)
    bad = picture(0).array.copy()
    bad[0, 0, 0] = 7
    good = bad.copy()
    good[0, 0, 0] = 8
    images = [picture(0).with_array(array) for array in (good, good, bad, good)]
    seen = []
    with pytest.raises(MemoryError, match="too much"):
        seen.extend(one.frame.index for one in stream(footage_of(images), segmenter, every_frame=True))
    assert seen == [0, 1]


def test_frames_that_do_not_suit_are_told_at_once(segmenter):
    two = picture(0).with_array(np.zeros((2, 20, 18), np.uint8))
    with pytest.raises(DataError, match="the image has 2 channels"):
        next(stream(footage_of([two]), segmenter, every_frame=True))
    assert list(stream(footage_of([]), segmenter, every_frame=True)) == []


@pytest.mark.parametrize("every_frame", [True, False])
def test_whoever_has_seen_enough_goes(segmenter, every_frame):
    asked = []
    footage = footage_of((asked.append(n) or picture(n) for n in range(10**6)), live=not every_frame)
    results = stream(footage, segmenter, every_frame=every_frame)
    next(results)
    results.close()
    ended = len(asked)
    assert not capturing()
    assert len(asked) == ended
    assert next(footage.frames).index == ended, "open footage stays open"


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"queue": 0}, "at least 1"),
        ({"stale_after_s": 0.0}, "stale_after_s must be positive"),
        ({"smooth": 0.0}, "weight of a new frame"),
        ({"overlap": -0.1}, "overlap must be"),
    ],
)
def test_arguments_out_of_range_are_refused_before_anything_is_opened(segmenter, how, why):
    with pytest.raises(PlanError, match=why):
        stream("there is no such file.mp4", segmenter, **how)


# --- smoothing and colours --------------------------------------------------------------------------------------------


def test_smoothing_averages_over_time_and_begins_anew_after_a_cut(segmenter):
    eye = FrameSegmenter(segmenter, Look())
    still = picture(1)
    moved = still.with_array(still.array - still.array // 8 + picture(2).array // 8)
    dark = still.with_array(still.array // 8)
    images = [still, still, moved, still, dark]
    found = list(stream(footage_of(images, rate_hz=25), segmenter, every_frame=True, smooth=0.4))
    assert [one.anew for one in found] == [True, False, False, False, True]
    mean = np.zeros(1, np.float32)
    for one, image in zip(found, images, strict=True):
        alone = eye.probabilities(image)
        mean = alone if one.anew else alone + np.float32(0.6) * (mean - alone)
        np.testing.assert_array_equal(one.labels.array, eye.labels_of(mean, image.grid).array)
    assert (found[2].labels.array != eye.labels(moved).array).any()


@pytest.mark.parametrize("rate_hz", [25, 2])
def test_slow_footage_belongs_together_too(segmenter, rate_hz):
    images = [picture(1)] * 3
    found = list(stream(footage_of(images, rate_hz=rate_hz), segmenter, every_frame=True, smooth=0.4))
    assert [one.anew for one in found] == [True, False, False]
    footage = footage_of(images, rate_hz=rate_hz)
    late = (replace(f, at_s=2.6 * f.index / min(rate_hz, 10)) for f in footage.frames)
    found = list(stream(replace(footage, frames=late), segmenter, every_frame=True, smooth=0.4))
    assert [one.anew for one in found] == [True, True, True]


def test_colours_become_grey_where_the_segmenter_wants_grey(segmenter):
    grey = picture(3)
    colour = Volume(np.repeat(grey.array, 3, axis=0), grey.grid, replace(grey.meta, modality="RGB"))
    (one,) = stream(footage_of([colour]), segmenter, every_frame=True)
    np.testing.assert_array_equal(one.frame.image.array, grey.array)
    np.testing.assert_array_equal(one.labels.array, segment(grey, segmenter).labels.array)
    assert one.frame.image.meta.notes == ("Colours were turned to grey (BT.601).",)
