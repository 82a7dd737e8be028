"""One image of many, from file to file: a job that travels."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from phantoms import ball_case, drawn_bundle

from vesalius.errors import VesaliusError
from vesalius.io import read, read_labels, write
from vesalius.predict import folder as home
from vesalius.predict import load_segmenter, segment
from vesalius.predict.folder import FileJob, segment_file


@pytest.fixture(autouse=True)
def nothing_kept():
    home._kept.cache_clear()
    yield
    home._kept.cache_clear()


@pytest.fixture
def job(bundle, tmp_path: Path) -> FileJob:
    write(ball_case(1, shape=(18, 16, 16)).image, tmp_path / "ball.nii.gz")
    return FileJob(
        images=(tmp_path / "ball.nii.gz",),
        target=tmp_path / "out" / "ball.nrrd",
        bundle=str(bundle.save(tmp_path / "bundle")),
        device="cpu",
    )


def test_the_result_is_that_of_segment(job):
    result = segment_file(pickle.loads(pickle.dumps(job)))
    labels = segment(read(job.images[0]), job.bundle).labels
    assert np.array_equal(read_labels(job.target).array, labels.array)
    counts = labels.counts()
    assert pickle.loads(pickle.dumps(result)).voxels == {"ball": counts.get(1, 0), "core": counts.get(2, 0)}
    assert result.volume_ml == {name: count / 1000 for name, count in result.voxels.items()}
    assert result.target == job.target


def test_settings_travel(job):
    told = []
    segment_file(replace(job, probabilities=True, overlap=0.0, mirror=True), progress=lambda *now: told.append(now))
    assert {path.name for path in job.target.parent.iterdir()} == {"ball.nrrd", "ball-probabilities.nii.gz"}
    expected = segment(read(job.images[0]), job.bundle, overlap=0.0, mirror=True, probabilities=True).probabilities
    assert expected is not None
    np.testing.assert_allclose(read(job.target.with_name("ball-probabilities.nii.gz")).array, expected.array, atol=1e-6)
    assert told[-1][0] == told[-1][1]


def test_a_bundle_is_loaded_once_until_it_is_written_anew(job, bundle, monkeypatch):
    loaded = []

    def load(*arguments, **how):
        loaded.append(arguments)
        return load_segmenter(*arguments, **how)

    monkeypatch.setattr(home, "load_segmenter", load)
    segment_file(job)
    segment_file(job)
    assert len(loaded) == 1
    before = read_labels(job.target).array
    drawn_bundle(bundle.plan, seed=33).save(job.bundle)
    segment_file(job)
    assert len(loaded) == 2
    assert not np.array_equal(read_labels(job.target).array, before)
    segment_file(replace(job, bundle="hippocampus"))
    assert loaded[-1] == ("hippocampus",)
    segment_file(job, segmenter=load_segmenter(job.bundle, device="cpu"))
    assert len(loaded) == 3


def test_what_cannot_be_read_is_told(job):
    with pytest.raises(VesaliusError, match=r"elsewhere\.nii"):
        segment_file(replace(job, images=(job.images[0].with_name("elsewhere.nii"),)))
    with pytest.raises(VesaliusError, match="no such bundle"):
        segment_file(replace(job, bundle="nowhere"))
