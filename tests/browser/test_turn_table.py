"""A turn-table that `vesalius render` writes plays in Chromium."""

from pathlib import Path

import pytest
from bodies import box

from vesalius.cli import main
from vesalius.mesh.files import write_mesh

PLAY = """async () => {
    const video = document.querySelector("video");
    await video.play();
    await new Promise(done => { video.onended = done; });
    return [video.videoWidth, video.videoHeight, video.duration, video.currentTime, video.error];
}"""


def test_a_turn_table_plays_to_its_end(watched, serve, tmp_path: Path):
    pytest.importorskip("cv2")
    write_mesh([box((10, 20, 30))], tmp_path / "box.ply")
    made = ["render", str(tmp_path / "box.ply"), "-o", str(tmp_path / "turn.mp4")]
    assert main([*made, "--size", "201x161", "--frames", "12", "--seconds", "1"]) == 0
    (tmp_path / "page.html").write_text('<!doctype html><link rel="icon" href="data:,"><video muted src="turn.mp4">')
    watched.page.goto(serve(tmp_path) + "page.html")
    width, height, lasting_s, at_s, error = watched.page.evaluate(PLAY)
    assert (width, height) == (202, 162)  # colours are kept for blocks of four pixels
    assert lasting_s == pytest.approx(1.0, abs=0.05)
    assert at_s == pytest.approx(1.0, abs=0.1)
    assert error is None
