"""One image of many, from file to file, as a job that travels; and all of a folder, with a journal."""

import os
import pickle
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from phantoms import ball_case, drawn_bundle

from vesalius.errors import DataError, VesaliusError
from vesalius.io import read, read_labels, write
from vesalius.jobs import Share, run_jobs
from vesalius.predict import folder as home
from vesalius.predict import load_segmenter, segment
from vesalius.predict.folder import FileJob, segment_file, segment_files
from vesalius.predict.journal import NAME as JOURNAL
from vesalius.predict.journal import read_journal


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
    assert set(result.sha256) == {"ball.nrrd"}
    assert result.work is not None
    assert min(result.work.reading_s, result.work.computing_s, result.work.writing_s) > 0


def test_settings_travel(job):
    told = []
    segment_file(replace(job, probabilities=True, overlap=0.0, mirror=True), progress=lambda *now: told.append(now))
    assert {path.name for path in job.target.parent.iterdir()} == {"ball.nrrd", "ball-probabilities.nii.gz"}
    expected = segment(read(job.images[0]), job.bundle, overlap=0.0, mirror=True, probabilities=True).probabilities
    assert expected is not None
    np.testing.assert_allclose(read(job.target.with_name("ball-probabilities.nii.gz")).array, expected.array, atol=1e-6)
    assert told[-1][0] == told[-1][1]


def test_every_setting_reaches_segment(job, monkeypatch):
    given = {}

    def spy(image, bundle, **how):
        given.update(how, backend=bundle.backend, device=str(bundle.device), members=bundle.members)
        return segment(image, bundle, progress=None)

    monkeypatch.setattr(home, "segment", spy)
    wanted = {
        "backend": "torch-float32", "device": "cpu", "members": (0,), "channels": ("T1",), "mirror": False,
        "overlap": 0.25, "memory_gib": 3.0, "focus": True, "postprocess": False, "probabilities": True,
    }  # fmt: skip
    result = segment_file(replace(job, **wanted))
    given.pop("progress")
    assert given == wanted
    assert result.work is not None
    assert result.work.backend == "torch-float32"


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


# --- a folder ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def jobs(bundle, tmp_path: Path) -> list[FileJob]:
    place = str(bundle.save(tmp_path / "bundle"))
    found = []
    for number in range(3):
        image = tmp_path / f"ball{number}.nii.gz"
        write(ball_case(number, shape=(18, 16, 16)).image, image)
        found.append(FileJob(images=(image,), target=tmp_path / "out" / image.name, bundle=place, device="cpu"))
    return found


def done_anew(jobs, bundle, **how):
    """Numbers of the images that were segmented, not skipped; all must end well."""
    outcomes = list(segment_files(jobs, bundle, journal=True, **how))
    assert sorted(outcome.number for outcome in outcomes) == list(range(len(jobs)))
    for outcome in outcomes:
        assert outcome.unwrap().target == jobs[outcome.number].target
        assert outcome.unwrap().voxels.keys() == {"ball", "core"}
    return [outcome.number for outcome in outcomes if outcome.unwrap().work is not None]


def test_results_are_those_of_each_image_alone(jobs, bundle):
    told = []
    kept = bundle.load(jobs[0].bundle)
    outcomes = list(segment_files(jobs, kept, progress=lambda *now: told.append(now[0] / now[1])))
    assert [outcome.number for outcome in outcomes] == [0, 1, 2]
    together = [read_labels(job.target).array for job in jobs]
    assert not (jobs[0].target.parent / JOURNAL).exists()
    assert told == sorted(told)
    assert told[-1] == 1.0
    for job, outcome, found in zip(jobs, outcomes, together, strict=True):
        alone = segment_file(job)
        assert np.array_equal(read_labels(job.target).array, found)
        assert replace(alone, work=None) == replace(outcome.unwrap(), work=None)


def test_a_broken_image_is_told_and_the_rest_goes_on(jobs, bundle):
    jobs[1].images[0].write_bytes(b"no image")
    outcomes = list(segment_files(jobs, bundle, journal=True))
    assert [outcome.number for outcome in outcomes] == [0, 1, 2]
    assert [type(outcome.error).__name__ for outcome in outcomes] == ["NoneType", "FormatError", "NoneType"]
    assert {path.name for path in jobs[0].target.parent.iterdir()} == {"ball0.nii.gz", "ball2.nii.gz", JOURNAL}


def test_an_image_that_takes_too_much_memory_does_not_end_the_others(jobs, bundle, monkeypatch):
    def greedy(image, *arguments, **how):
        if image.array.shape[1] == 18 and not spent:
            spent.append(True)
            raise MemoryError
        return segment(image, *arguments, **how)

    spent = []
    monkeypatch.setattr(home, "segment", greedy)
    outcomes = list(segment_files(jobs, bundle))
    assert "not enough memory for this image" in str(outcomes[0].error)
    assert [outcome.error for outcome in outcomes[1:]] == [None, None]


def test_a_promise_about_memory_leaves_no_room_for_a_second_image(jobs, bundle, monkeypatch):
    seen = []
    monkeypatch.setattr(home, "read", lambda path, **how: seen.append("read") or read(path, **how))
    monkeypatch.setattr(home, "segment", lambda *given, **how: seen.append("segment") or segment(*given, **how))
    bounded = [replace(job, memory_gib=64.0) for job in jobs]
    assert [outcome.error for outcome in segment_files(bounded, bundle)] == [None] * 3
    assert seen == ["read", "segment"] * 3


def test_resuming_skips_what_is_done(jobs, bundle):
    assert done_anew(jobs[:2], bundle) == [0, 1]
    assert done_anew(jobs, bundle, resume=True) == [2]
    first = read_journal(jobs[0].target.parent)
    before = [job.target.stat().st_mtime_ns for job in jobs]
    assert done_anew(jobs, bundle, resume=True) == []
    assert read_journal(jobs[0].target.parent) == first
    assert [job.target.stat().st_mtime_ns for job in jobs] == before
    assert done_anew(jobs, bundle) == [0, 1, 2]  # without it, all is made anew, as if nothing were there


def test_resuming_tells_what_was_found_before(jobs, bundle):
    anew = [replace(outcome.unwrap(), work=None) for outcome in segment_files(jobs, bundle, journal=True)]
    assert [outcome.unwrap() for outcome in segment_files(jobs, bundle, journal=True, resume=True)] == anew


def test_what_was_made_of_something_else_is_made_anew(jobs, bundle):
    done_anew(jobs, bundle)
    os.utime(jobs[1].images[0], ns=(0, 0))  # a source was changed
    assert done_anew(jobs, bundle, resume=True) == [1]
    other = [replace(job, overlap=0.0) for job in jobs]
    assert done_anew(other, bundle, resume=True) == [0, 1, 2]
    assert done_anew(other, bundle, resume=True) == []
    assert done_anew([replace(job, memory_gib=2.0) for job in other], bundle, resume=True) == []
    assert done_anew(other, drawn_bundle(bundle.plan, seed=33), resume=True) == [0, 1, 2]


def test_probabilities_belong_to_a_result(jobs, bundle):
    wanted = [replace(job, probabilities=True) for job in jobs]
    done_anew(wanted, bundle)
    assert done_anew(wanted, bundle, resume=True) == []
    wanted[2].target.with_name("ball2-probabilities.nii.gz").unlink()
    assert done_anew(wanted, bundle, resume=True) == [2]


def test_what_is_missing_or_unknown_is_made_anew(jobs, bundle):
    done_anew(jobs, bundle)
    jobs[0].target.unlink()
    (jobs[0].target.parent / JOURNAL).write_text(
        "".join((jobs[0].target.parent / JOURNAL).read_text().splitlines(True)[:2])
    )
    jobs[2].target.write_bytes(b"cut off")
    assert done_anew(jobs, bundle, resume=True) == [0, 2]
    assert read_labels(jobs[2].target).counts()


def test_corrections_are_not_replaced(jobs, bundle):
    done_anew(jobs, bundle)
    corrected = read_labels(jobs[1].target)
    write(replace(corrected, array=np.zeros_like(corrected.array)), jobs[1].target)
    jobs[2].target.unlink()
    outcomes = list(segment_files(jobs, bundle, journal=True, resume=True))
    assert [outcome.number for outcome in outcomes] == [0, 1, 2]
    error = outcomes[1].error
    assert isinstance(error, DataError)
    assert str(error).startswith("ball1.nii.gz was changed since it was segmented: move it away")
    assert not read_labels(jobs[1].target).array.any()
    assert outcomes[2].error is None


def test_a_result_that_is_being_replaced_counts_as_not_done(jobs, bundle, monkeypatch):
    """Killed between the new file and its line in the journal, it is no correction of the old one."""
    done_anew(jobs, bundle)
    other = drawn_bundle(bundle.plan, seed=33)

    def killed(*_):
        raise VesaliusError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(home._Notes, "end", killed)
        with pytest.raises(VesaliusError, match="killed"):
            [outcome.unwrap() for outcome in segment_files(jobs[:1], other, journal=True)]
    assert done_anew(jobs, bundle, resume=True) == [0]


def test_a_cluster_keeps_the_same_journal(jobs, bundle, monkeypatch):
    def elsewhere(task, jobs, *, cluster, share):
        assert (cluster, share) == ("local", Share(cores=3))
        for number, job in reversed(list(enumerate(jobs))):
            (outcome,) = run_jobs(pickle.loads(pickle.dumps(task)), [pickle.loads(pickle.dumps(job))])
            yield pickle.loads(pickle.dumps(replace(outcome, number=number)))

    monkeypatch.setattr(home, "joined", lambda _: nullcontext())
    monkeypatch.setattr(home, "share_of", lambda _, jobs, *, device: Share(cores=3))
    monkeypatch.setattr(home, "run_jobs", elsewhere)
    loaded = bundle.load(jobs[0].bundle)
    assert done_anew(jobs[1:], loaded) == [0, 1]
    told = []
    assert done_anew(jobs, loaded, cluster="local", resume=True, progress=lambda *now: told.append(now)) == [0]
    assert told == [(1, 1)]
    assert done_anew(jobs, loaded, cluster="local") == [2, 1, 0]
    assert done_anew(jobs, loaded, resume=True) == []


def test_resuming_needs_a_journal(jobs, bundle):
    with pytest.raises(DataError, match="journal=True"):
        list(segment_files(jobs, bundle, resume=True))
    assert list(segment_files([], bundle, journal=True, resume=True)) == []
