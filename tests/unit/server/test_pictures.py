"""WADO-RS: pictures to look at, windowed and scaled."""

import io

import numpy as np
import pytest
from guards import Kept, get
from PIL import Image

_RNG = np.random.default_rng(4)


def picture(answer):
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def test_pictures_are_windowed_as_the_standard_has_it(url, keys, store, make):
    stored = np.array([[0, 1024, 1064], [1104, 1264, 4000]], np.uint16)
    made = make.image(stored, WindowCenter=40, WindowWidth=400)  # HU: less 1024
    kept = Kept(store, make.write(made, "ct.dcm"))

    def linear(values, centre, width):
        share = (values - (centre - 0.5)) / (width - 1) + 0.5
        return np.rint(share.clip(0, 1) * 255).astype(np.uint8).tolist()

    hu = stored.astype(float) - 1024
    path = f"{kept.path}/rendered"
    assert picture(get(url, keys, path, "image/png")).tolist() == linear(hu, 40, 400)
    assert picture(get(url, keys, path, "image/png", window="80,160,linear")).tolist() == linear(hu, 80, 160)
    exact = np.rint(((hu - 80) / 160 + 0.5).clip(0, 1) * 255).astype(np.uint8).tolist()
    assert picture(get(url, keys, path, "image/png", window="80,160,linear-exact")).tolist() == exact
    sigmoid = np.rint(255 / (1 + np.exp(-4 * (hu - 80) / 160))).astype(np.uint8).tolist()
    assert picture(get(url, keys, path, "image/png", window="80,160,sigmoid")).tolist() == sigmoid


def test_white_that_is_stored_as_nothing_is_shown_white(url, keys, store, make):
    made = make.image(
        np.array([[0, 100], [200, 255]], np.uint8), PhotometricInterpretation="MONOCHROME1", Modality="DX"
    )
    kept = Kept(
        store,
        make.write(
            made,
            "dx.dcm",
        ),
    )
    assert picture(get(url, keys, f"{kept.path}/rendered", "image/png")).tolist() == [[255, 155], [55, 0]]


@pytest.mark.parametrize(
    "query",
    [
        {"window": "1"},
        {"window": "1,0,linear"},
        {"window": "nan,1,linear"},
        {"window": "1,2,cubic"},
        {"window": "1e300,1,linear"},
        {"viewport": "0,5"},
        {"viewport": "99999,5"},
        {"viewport": "5"},
        {"viewport": "1,1,1,1,1,1"},
        {"quality": "0"},
        {"quality": "101"},
        {"quality": "x"},
    ],
)
def test_looks_that_are_none(url, keys, five, query):
    assert get(url, keys, f"{five[0].path}/rendered", **query).status_code == 400


def test_an_independent_client_has_pictures(client, url, keys, five, store, make):
    kept, pixels = five
    shown = Image.open(io.BytesIO(client.retrieve_instance_rendered(*kept.uids, media_types=("image/png",))))
    low, high = pixels[0].min(), pixels[0].max()
    assert np.asarray(shown).tolist() == np.rint((pixels[0] - low) / (high - low) * 255).tolist()
    jpeg = Image.open(io.BytesIO(client.retrieve_instance_rendered(*kept.uids)))
    assert (jpeg.format, jpeg.size) == ("JPEG", (8, 6))
    third = client.retrieve_instance_frames_rendered(*kept.uids, [3], media_types=("image/png",))
    assert np.asarray(Image.open(io.BytesIO(third))).max() == 255
    wide = picture(get(url, keys, f"{kept.path}/frames/3/rendered", "image/png", viewport="80,80"))
    assert wide.shape == (60, 80)
    several = get(url, keys, f"{kept.path}/frames/1,2/rendered", 'multipart/related; type="image/png"')
    assert several.content.count(b"\x89PNG") == 2
    colours = _RNG.integers(0, 255, (5, 7, 3)).astype(np.uint8)
    colour = Kept(store, make.write(make.image(colours), "colour.dcm"))
    assert picture(get(url, keys, f"{colour.path}/rendered", "image/png")).tolist() == colours.tolist()


def test_thumbnails_of_every_level(url, keys, store, make):
    slices = make.stack(_RNG.integers(0, 2000, (3, 300, 600)).astype(np.int16), StudyInstanceUID="1.2.9")
    kept = [Kept(store, make.write(made, f"{number}.dcm")) for number, made in enumerate(slices)]
    parts = kept[0].path.split("/")
    for end in (3, 5, 7):
        shown = Image.open(io.BytesIO(get(url, keys, "/".join(parts[:end]) + "/thumbnail").content))
        assert (shown.format, shown.size) == ("JPEG", (256, 128))


def test_what_cannot_be_shown_is_told(url, keys, store, make):
    made = make.image(np.zeros((4, 4), np.uint16))
    del made.PixelData
    kept = Kept(store, make.write(made, "empty.dcm"))
    for what in ("rendered", "thumbnail", "frames/1/rendered"):
        assert get(url, keys, f"{kept.path}/{what}").status_code == 406
    assert get(url, keys, f"{kept.path}/frames/1").status_code == 400
    assert get(url, keys, f"{five_path(kept)}/rendered").status_code == 404


def five_path(kept):
    return kept.path.rpartition("/")[0] + "/1.2.3"
