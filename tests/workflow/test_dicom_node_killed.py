"""A node is killed for good at random moments: nothing is lost, and nothing is sent twice."""

from pathlib import Path

import pytest

pytest.importorskip("httpx")
from node_killing import kill_again_and_again


def test_killed_at_random_moments(tmp_path: Path) -> None:
    found = kill_again_and_again(tmp_path, kills=3, seed=4)
    assert (found.lost, found.twice) == (0, 0), found
    assert found.sent == len(found.at_pacs) == 8
    assert found.chained
    # Each of the four series was begun; where a kill fell between, a beginning has no end, and there is another.
    assert min(found.noted["segmented begun"], found.noted["segmented done"]) >= 4
    assert found.noted["exported begun"] >= 1  # of several series at once
