"""A node is killed for good at random moments: nothing is lost, and nothing is sent twice."""

from pathlib import Path

import pytest

pytest.importorskip("httpx")
from node_killing import kill_again_and_again


def test_killed_at_random_moments(tmp_path: Path) -> None:
    found = kill_again_and_again(tmp_path, kills=3, seed=4)
    assert (found.lost, found.twice) == (0, 0), found
    assert found.sent == len(found.at_pacs) == 8
