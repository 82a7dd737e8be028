"""Text in the slices of a series: what is plain or recurs goes, what stands alone in anatomy tears no slice out."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from vesalius.privacy import slices
from vesalius.privacy.glyphs import may_hold_text
from vesalius.privacy.ocr import Piece
from vesalius.privacy.slices import black_out_slices, judge

ROWS, COLUMNS = 96, 128


def piece(confidence: float, characters: int, *, at: tuple[float, float] = (30, 40)) -> Piece:
    x, y = at
    return Piece(((x, y), (x + 40, y), (x + 40, y + 12), (x, y + 12)), confidence, characters)


def anatomy(seed: int) -> np.ndarray:
    """Structure of a few pixels, another in each slice."""
    from scipy.ndimage import gaussian_filter

    return 500 + 400 * gaussian_filter(np.random.default_rng(seed).normal(0, 1, (ROWS, COLUMNS)), 2)


@pytest.fixture(autouse=True)
def nothing_closer(monkeypatch):
    """The closer look finds nothing, unless a test says otherwise."""
    monkeypatch.setattr(slices, "find_text", lambda picture: ())


def judged(*pieces: Piece, number: int = 4, of: int = 16, stack: dict[int, np.ndarray] | None = None):
    found = [pieces if place == number else () for place in range(of)]
    return judge(found, lambda place: (stack or {}).get(place, anatomy(place)))


@pytest.mark.parametrize(("confidence", "characters"), [(0.65, 4), (0.62, 11), (0.92, 2)])
def test_what_is_read_plainly_goes(confidence, characters):
    verdict = judged(piece(confidence, characters))
    assert list(verdict.masks) == [4]
    assert verdict.masks[4][40:52, 30:70].all()
    assert not verdict.doubtful


@pytest.mark.parametrize(("confidence", "characters"), [(0.82, 2), (0.72, 3), (0.42, 2)])
def test_two_letters_alone_in_anatomy_are_passed_over_and_said(confidence, characters):
    verdict = judged(piece(confidence, characters))
    assert (verdict.masks, verdict.doubtful, verdict.passed_over) == ({}, frozenset(), {4})


def test_a_word_that_can_hardly_be_read_is_a_doubt():
    verdict = judged(piece(0.5, 7))
    assert verdict.doubtful == {4}


@pytest.mark.parametrize(("confidence", "doubtful"), [(0.7, set()), (0.4, {4})])
def test_letters_on_empty_ground_are_text(confidence, doubtful):
    ground = np.zeros((ROWS, COLUMNS))
    ground[:8] = anatomy(1)[:8]
    ground[44:50, 34:60:4] = 900
    verdict = judged(piece(confidence, 2), stack={4: ground})
    assert list(verdict.masks) == [4]
    assert verdict.doubtful == doubtful


def test_a_closer_look_can_make_it_plain(monkeypatch):
    seen = []
    monkeypatch.setattr(slices, "find_text", lambda picture: seen.append(picture.shape) or (piece(0.95, 2),))
    verdict = judged(piece(0.4, 2))
    assert list(verdict.masks) == [4]
    assert seen[0][0] > 3 * 12  # enlarged


def test_what_stands_in_the_same_place_of_distant_slices_is_text():
    stamped = np.zeros((ROWS, COLUMNS), bool)
    stamped[42:50:2, 32:68:3] = True
    stack = {place: np.where(stamped, 2500, anatomy(place)) for place in range(16)}
    found = [(piece(0.4, 3),) if place in (2, 7, 12) else () for place in range(16)]
    assert set(judge(found, stack.__getitem__).masks) == {2, 7, 12}
    # The same findings where the structure differs are anatomy.
    verdict = judge(found, anatomy)
    assert (verdict.masks, verdict.passed_over) == ({}, {2, 7, 12})
    # Neighbours share their anatomy.
    close = [(piece(0.4, 3),) if place in (6, 7, 8) else () for place in range(16)]
    assert judge(close, lambda place: anatomy(0)).masks == {}


def test_text_that_comes_back_is_a_doubt(monkeypatch):
    monkeypatch.setattr(slices, "find_text", lambda picture: (piece(0.99, 8),))
    _, verdict = black_out_slices([anatomy(place) for place in range(6)], [0.0] * 6)
    assert verdict.doubtful == set(range(6))


def test_slices_without_findings_are_the_same_arrays():
    stack = [anatomy(place) for place in range(6)]
    made, verdict = black_out_slices(stack, [0.0] * 6)
    assert all(one is other for one, other in zip(made, stack, strict=True))
    assert not verdict.masks


def written(size: int, angle: float, contrast: float, scale: float = 1) -> np.ndarray:
    picture = Image.new("L", (200, 200))
    font = ImageFont.load_default(size)
    ImageDraw.Draw(picture).text((100, 100), "DOE^JANE", fill=255, font=font, anchor="mm")
    turned = picture.rotate(angle, resample=Image.Resampling.BICUBIC)
    turned = turned.resize((int(200 * scale), int(200 * scale)), Image.Resampling.BICUBIC)
    strength = np.asarray(turned) / 255
    noise = np.random.default_rng(1).normal(0, 3, strength.shape)
    made = np.clip(80 + noise + contrast * 170 * strength, 0, 255)
    made[:4], made[-4:] = 0, 255
    return made.astype(np.uint8)


@pytest.mark.parametrize("size", [8, 10, 14, 24, 40])
@pytest.mark.parametrize("contrast", [0.25, 0.5, 1.0])
def test_the_cheap_look_lets_no_text_go_unread(size, contrast):
    for angle in (0, 5, 45, 90):
        assert may_hold_text(written(size, angle, contrast)), angle
    assert may_hold_text(written(size, 0, contrast, scale=2)), "enlarged"


def test_the_cheap_look_passes_over_what_holds_none():
    y, x = np.mgrid[:200, :200]
    assert not may_hold_text((128 + 100 * np.sin(x / 15) * np.cos(y / 12)).astype(np.uint8))
    assert not may_hold_text(np.full((200, 200), 90, np.uint8))
    assert not may_hold_text(np.where((x - 100) ** 2 + (y - 90) ** 2 < 60**2, 255, 0).astype(np.uint8))
