import numpy as np
import pytest

from vesalius.errors import DataError
from vesalius.image import Grid, Meta, Volume
from vesalius.report.display import WINDOWS, grey, named_window, shown_window


def image(values, meta) -> Volume:
    array = np.asarray(values).reshape(1, 1, -1)
    return Volume(array, Grid.from_spacing(array.shape[1:], (1.0, 1.0)), meta)


CT = image([-1000, 0, 40, 1000], Meta("CT", "HU"))


def test_windows_have_names():
    assert named_window("soft-tissue", CT) == shown_window(CT, 0) == (-160.0, 240.0)
    assert named_window("lung", image([0, 1], Meta())) == (-1350.0, 150.0)
    assert all(low < high for low, high in (named_window(name, CT) for name in WINDOWS))
    with pytest.raises(DataError, match="brain"):
        named_window("brian", CT)
    for meta in (Meta("MR"), Meta("PT", "g/ml"), Meta("OT", "g/ml")):
        with pytest.raises(DataError, match="is for CT in HU"):
            named_window("brain", image([0, 1], meta))


def test_greys_end_at_black_and_white():
    assert grey(np.array([-1000, -160, 40, 240, 3000]), (-160.0, 240.0)).tolist() == [0, 0, 0.5, 1, 1]


def test_other_images_are_shown_by_what_is_not_nothing():
    values = np.concatenate([np.zeros(1000), np.arange(1, 202)])
    assert shown_window(image(values, Meta("MR")), 0) == (3.0, 200.0)
    assert shown_window(image([5, 5], Meta("MR")), 0) == (5.0, 6.0)
