"""LIDC-IDRI's readings: contours to masks, consensus, and files that are none."""

import numpy as np
import pytest
from chests import small_chest, write_lidc

from vesalius.errors import FormatError
from vesalius.image import Grid
from vesalius.io import read, read_labels
from vesalius.io.layouts import index
from vesalius.io.lidc import Contour, Reading, consensus, consensus_nodules, read_readings

GRID = Grid.from_spacing((12, 12, 4), (0.7, 0.7, 2.0), origin_mm=(5.0, 6.0, -20.0))


def square(low, high):
    """The pixels of a square's border, in order."""
    side = range(low, high)
    points = [(n, low) for n in side] + [(high, n) for n in side]
    points += [(n, high) for n in range(high, low, -1)] + [(low, n) for n in range(high, low, -1)]
    return np.array(points, np.int32)


def drawn(low, high, z=-18.0, *, inclusion=True):
    return Contour(z, square(low, high), inclusion)


@pytest.fixture(scope="module")
def lidc(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lidc")
    chests = [small_chest(3), small_chest(4)]
    write_lidc(folder, chests)
    return folder, chests


def test_outlines_run_outside_of_the_nodule():
    found = consensus((Reading(((drawn(2, 6),),), ()),), GRID)
    assert np.argwhere(found.array).min(axis=0).tolist() == [3, 3, 1]
    assert np.argwhere(found.array).max(axis=0).tolist() == [5, 5, 1]


def test_what_is_excluded_is_cut_out():
    nodule = (drawn(1, 10), drawn(3, 7, inclusion=False))
    found = consensus((Reading((nodule,), ()),), GRID).array[:, :, 1]
    assert found[2:10, 2:10].sum() == 64 - 9
    assert not found[4:7, 4:7].any()


def test_half_of_the_readers_agree():
    readings = tuple(Reading(((drawn(2, high),),), ()) for high in (6, 7, 8, 9))
    found = consensus(readings, GRID).array[:, :, 1]
    assert found.sum() == 25, "two of four drew up to pixel 7"
    assert consensus(readings, GRID, share=1.0).array.sum() == 9
    assert consensus((*readings[:1], Reading((), ())), GRID).array.sum() == 9, "one of two is half"
    assert consensus((*readings[:1], *[Reading((), ())] * 2), GRID).array.sum() == 0, "one of three is not"


def test_an_outline_that_lies_nowhere_is_an_error():
    with pytest.raises(FormatError, match="no slice"):
        consensus((Reading(((drawn(2, 6, z=-17.0),),), ()),), GRID, name="069.xml")
    with pytest.raises(FormatError, match="outside of the image"):
        consensus((Reading(((drawn(2, 12),),), ()),), GRID)


def test_a_data_set_is_indexed_and_its_references_are_the_consensus(lidc):
    folder, chests = lidc
    dataset = index(folder)
    assert dataset.layout == "lidc"
    assert dataset.ids == dataset.patients == ("LIDC-IDRI-0001", "LIDC-IDRI-0002")
    case = dataset[0]
    count = len(chests[0].nodules)
    wanted = (chests[0].shapes > 0) & (chests[0].shapes < count)  # the last nodule was drawn by one of four
    assert np.array_equal(case.reference.array > 0, wanted)
    assert np.array_equal(case.image.array, chests[0].image.array)


def test_nodules_as_places_and_sizes(lidc):
    folder, chests = lidc
    (path,) = (folder / "LIDC-IDRI-0001").rglob("*.xml")
    nodules, ignored = consensus_nodules(path)
    marked = chests[0].nodules
    assert len(nodules) == len(marked) - 1
    for one in marked[:-1]:
        near = [n for n in nodules if np.linalg.norm(np.subtract(n.centre_mm, one.centre_mm)) < 2]
        assert len(near) == 1
        assert near[0].diameter_mm == pytest.approx(one.diameter_mm, abs=1.5)
    assert len(ignored) == 3, "a nodule of one reader, a small one, and what is none"
    assert len(read_readings(path)) == 4
    assert read_labels(path).labels.names == ("nodule",)
    assert read(path.parent).grid.shape == chests[0].image.grid.shape


BOMB = """<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><LidcReadMessage>&c;</LidcReadMessage>"""
OUTSIDE = """<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><LidcReadMessage>&e;
</LidcReadMessage>"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB, "document type"),
        (OUTSIDE, "document type"),
        ("<LidcReadMessage>" * 100, "nested too deeply"),
        ("<LidcReadMessage><a></LidcReadMessage>", "not XML"),
        ("<LidcReadMessage>", "not XML"),
        ("", "not XML"),
        ("<html></html>", "not a reading"),
        (
            "<LidcReadMessage><readingSession><unblindedReadNodule><roi><imageZposition>x</imageZposition>"
            "<inclusion>TRUE</inclusion></roi></unblindedReadNodule></readingSession></LidcReadMessage>",
            "lacks an element",
        ),
        (
            "<LidcReadMessage><readingSession><unblindedReadNodule><roi><inclusion>TRUE</inclusion>"
            "<edgeMap><xCoord>1</xCoord><yCoord>2</yCoord></edgeMap></roi></unblindedReadNodule></readingSession>"
            "</LidcReadMessage>",
            "lacks an element",
        ),
    ],
    ids=["bomb", "outside", "deep", "unclosed", "cut", "empty", "other", "no number", "no height"],
)
def test_files_that_are_no_reading(tmp_path, text, words):
    path = tmp_path / "069.xml"
    path.write_text(text)
    with pytest.raises(FormatError, match=words) as refused:
        read_readings(path)
    assert "root:" not in str(refused.value)
