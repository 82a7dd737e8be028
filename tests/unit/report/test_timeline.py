"""The timeline draws what it is given."""

import numpy as np
import pytest

from vesalius.errors import DataError
from vesalius.report.timeline import timeline


def test_more_lesions_are_more_ink_and_sizes_show():
    days = [0, 92, 205]
    one = timeline(days, {"L1": [1.0, 2.0, 4.0]}, {"L1": [0.1] * 3})
    two = timeline(days, {"L1": [1.0, 2.0, 4.0], "L2": [0.5, 0, 0]}, {"L1": [0.1] * 3, "L2": [0.1, 0, 0]})
    steeper = timeline(days, {"L1": [1.0, 3.0, 4.0]}, {"L1": [0.1] * 3})
    assert one.shape == two.shape
    assert (two < 250).sum() > (one < 250).sum()
    assert not np.array_equal(one, steeper)


def test_each_day_needs_a_volume_and_an_error():
    with pytest.raises(DataError, match="for each of 2 days"):
        timeline([0, 1], {"L1": [1.0]}, {"L1": [0.1]})
    with pytest.raises(DataError, match="for each of 2 days"):
        timeline([0, 1], {"L1": [1.0, 1.0]}, {})
