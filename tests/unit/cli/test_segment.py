"""``vesalius segment``: which files are an image, and where its result goes."""

import pickle
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from phantoms import ball_case, ball_dataset, dataset_of, drawn_bundle, untrained_bundle, write_cases

from vesalius.bundle import Bundle
from vesalius.cli import main
from vesalius.cli.arguments import BACKENDS
from vesalius.image import Grid, Volume
from vesalius.io import read, read_labels, write
from vesalius.jobs import Share, run_jobs
from vesalius.predict import backends, segment
from vesalius.predict.journal import NAME as JOURNAL
from vesalius.transform import KeepLargest, Postprocessing


@pytest.fixture(scope="module")
def flat(tmp_path_factory):
    """A bundle for pictures."""
    bundle = untrained_bundle(ball_dataset(2, shape=(24, 20)), patch_size=(16, 16))
    return bundle.save(tmp_path_factory.mktemp("flat"))


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    """A bundle for volumes."""
    return untrained_bundle(ball_dataset(2), patch_size=(16, 16, 16)).save(tmp_path_factory.mktemp("deep"))


def picture(path):
    image = ball_case(1, shape=(24, 20)).image
    grey = np.clip(image.array - 250, 0, 255).astype(np.uint8)
    write(image.with_array(grey), path)
    return path


def volume(path, number=1):
    write(ball_case(number, shape=(18, 16, 16)).image, path)
    return path


@pytest.mark.parametrize(
    ("source", "result"),
    [("a.png", "a.png"), ("b.jpg", "b.png"), ("c.bmp", "c.png"), ("d.tif", "d.tif"), ("e.TIFF", "e.tif")],
)
def test_pictures_give_pictures_that_lose_nothing(source, result, flat, tmp_path, told):
    image = picture(tmp_path / source)
    (done,) = told("segment", image, "--bundle", flat, "-o", tmp_path / "out")["images"]
    assert done["output"] == str(tmp_path / "out" / result)
    assert set(read_labels(done["output"]).counts()) <= {0, 1, 2}


@pytest.mark.parametrize(
    ("source", "result"),
    [("a.nii", "a.nii.gz"), ("b.nii.gz", "b.nii.gz"), ("c.nrrd", "c.nrrd"), ("d.mha", "d.mha"), ("e.npz", "e.npz"),
     ("f.mhd", "f.nii.gz")],
)  # fmt: skip
def test_volumes_give_volumes_in_one_file(source, result, deep, tmp_path, told):
    image = volume(tmp_path / source)
    (done,) = told("segment", image, "--bundle", deep, "-o", tmp_path / "out", "--no-mirror")["images"]
    assert done["output"] == str(tmp_path / "out" / result)
    assert [path.name for path in (tmp_path / "out").iterdir() if path.name != JOURNAL] == [result]


def test_files_and_folders_may_be_mixed(deep, tmp_path, told):
    images = [volume(tmp_path / "one.nii.gz", 0), tmp_path / "more"]
    (tmp_path / "more" / "inner").mkdir(parents=True)
    volume(tmp_path / "more" / "two.nii.gz", 1)
    volume(tmp_path / "more" / "inner" / "three.nrrd", 2)
    done = told("segment", *images, "--bundle", deep, "-o", tmp_path / "out", "--no-mirror")
    assert [one["image"] for one in done["images"]] == ["one", "two", "inner_three"]
    written = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert written == ["inner_three.nrrd", "one.nii.gz", "two.nii.gz", JOURNAL]


def test_what_a_folder_holds_beside_its_images_is_said(deep, tmp_path, told):
    data = write_cases(tmp_path / "data", [ball_case(n, shape=(18, 16, 16)) for n in range(2)])
    (data / "labels" / "case1.nii.gz").unlink()
    done = told("segment", data, "--bundle", deep, "-o", tmp_path / "out", "--no-mirror")
    assert [one["image"] for one in done["images"]] == ["case0"]
    assert done["left_out"] == [{"id": "case1", "reason": "no reference of this name in labels, or several"}]


def test_as_many_files_as_channels_are_one_image(tmp_path, told):
    cases = [ball_case(n, shape=(16, 16, 16)) for n in range(2)]
    paired = [
        replace(c, image=Volume(np.concatenate([c.image.array, -c.image.array]), c.image.grid, c.image.meta))
        for c in cases
    ]
    bundle = untrained_bundle(dataset_of(paired, ("T1", "T2")), patch_size=(16, 16, 16)).save(tmp_path / "bundle")
    for n, case in enumerate(paired):
        write(case.image, tmp_path / f"both{n}.nii.gz")
        for channel, name in enumerate(("T1", "T2")):
            write(case.image.with_array(case.image.array[channel : channel + 1]), tmp_path / f"{name}_{n}.nii.gz")

    def found(*images: str) -> list[np.ndarray]:
        paths = [tmp_path / f"{name}.nii.gz" for name in images]
        done = told("segment", *paths, "--bundle", bundle, "-o", tmp_path / "-".join(images), "--no-mirror")
        return [read_labels(one["output"]).array for one in done["images"]]

    together, both = found("T1_0", "T2_0"), found("both0")
    assert len(together) == 1
    assert np.array_equal(together[0], both[0])
    assert not np.array_equal(found("T2_0", "T1_0")[0], both[0])  # their order is the plan's
    assert [np.array_equal(a, b) for a, b in zip(found("both0", "both1"), both, strict=False)] == [True]
    assert len(found("both0", "both1")) == 2  # files that hold all channels are images of their own
    error = told("segment", tmp_path / "T1_0.nii.gz", "--bundle", bundle, "-o", tmp_path / "x", code=1)["error"]
    assert error == {"type": "DataError", "message": "the image has 1 channels; the plan needs T1, T2"}


def test_people_are_told_sizes(flat, deep, tmp_path, printed):
    (tmp_path / "out").mkdir()
    words = printed("segment", picture(tmp_path / "a.png"), "--bundle", flat, "-o", tmp_path / "out")
    counts = read_labels(tmp_path / "out" / "a.png").counts()
    assert words == f"{tmp_path / 'out' / 'a.png'}  ball {counts.get(1, 0)} voxels, core {counts.get(2, 0)} voxels\n"
    words = printed("segment", volume(tmp_path / "b.nii"), "--bundle", deep, "-o", tmp_path / "out" / "c.nii")
    ml = {value: count / 1000 for value, count in read_labels(tmp_path / "out" / "c.nii").counts().items()}
    assert words == f"{tmp_path / 'out' / 'c.nii'}  ball {ml[1]:.4g} ml, core {ml[2]:.4g} ml\n"


def test_a_relative_place_in_the_working_folder(deep, tmp_path, told, monkeypatch):
    volume(tmp_path / "a.nii")
    monkeypatch.chdir(tmp_path)
    told("segment", "a.nii", "--bundle", deep, "-o", "found.nii.gz", "--no-mirror")
    told("segment", "a.nii", "--bundle", deep, "-o", ".", "--no-mirror")
    assert {p.name for p in Path().iterdir()} == {"a.nii", "a.nii.gz", "found.nii.gz", JOURNAL}


def paired(number):
    """An image of two channels, whole and each by itself."""
    image = ball_case(number, shape=(16, 16, 16)).image
    both = image.with_array(np.concatenate([image.array, np.sqrt(image.array)]))
    return both, [both.with_array(both.array[[n]]) for n in range(2)]


@pytest.fixture(scope="module")
def tolerant(tmp_path_factory):
    """A bundle that learnt to do without a channel."""
    case = ball_case(1, shape=(16, 16, 16))
    data = dataset_of([replace(case, image=paired(1)[0])], ("T1", "FLAIR"))
    bundle = untrained_bundle(data, patch_size=(16, 16, 16))
    learnt = replace(bundle.plan.augmentation, channel_dropout_p=0.5)
    return replace(bundle, plan=replace(bundle.plan, augmentation=learnt)).save(tmp_path_factory.mktemp("tolerant"))


def test_the_channels_that_are_there_are_named(tolerant, tmp_path, told):
    both, single = paired(2)
    for name, volume_of in zip(("t1", "flair"), single, strict=True):
        write(volume_of, tmp_path / f"{name}.nii.gz")
    places = {name: tmp_path / f"{name}.nii.gz" for name in ("t1", "flair")}

    def found(*images, channels):
        out = tmp_path / f"out-{channels}"
        done = told("segment", *(places[i] for i in images), "--bundle", tolerant, "-o", out, "--channels", channels)
        return [read_labels(one["output"]).array for one in done["images"]]

    (turned,) = found("flair", "t1", channels="FLAIR, T1")
    assert np.array_equal(turned, segment(both, tolerant).labels.array)
    each = found("t1", "flair", channels="FLAIR")  # one channel: each file is an image
    assert [len(each), *(one.shape for one in each)] == [2, (16, 16, 16), (16, 16, 16)]
    assert np.array_equal(each[1], segment(single[1], tolerant, channels=["FLAIR"]).labels.array)
    error = told("segment", places["t1"], "--bundle", tolerant, "-o", tmp_path / "x", "--channels", "T2", code=1)
    assert error["error"]["message"].startswith("unknown channel 'T2'")


def test_missing_channels_are_refused_once_and_before_anything_is_read(deep, tmp_path, printed):
    volume(tmp_path / "a.nii")
    volume(tmp_path / "b.nii")
    words = printed("segment", tmp_path, "--bundle", deep, "-o", tmp_path / "out", "--channels", "T2", code=1)
    assert words == "vesalius: error: unknown channel 'T2': Known: T1\n"


def test_members_and_clean_up_may_be_left_out(deep, tmp_path, told):
    single = Bundle.load(deep)
    several = replace(drawn_bundle(single.plan, members=2), postprocessing=Postprocessing((KeepLargest(name="core"),)))
    place, image = several.save(tmp_path / "several"), volume(tmp_path / "a.nii")
    several = Bundle.load(place)

    def found(name, *arguments):
        (done,) = told("segment", image, "--bundle", place, "-o", tmp_path / f"{name}.nii.gz", *arguments)["images"]
        return read_labels(done["output"]).array

    scan = ball_case(1, shape=(18, 16, 16)).image
    assert np.array_equal(found("all"), segment(scan, several).labels.array)
    assert np.array_equal(found("one", "--members", "1"), segment(scan, several, members=[1]).labels.array)
    plain = segment(scan, several, postprocess=False).labels.array
    assert np.array_equal(found("plain", "--no-postprocess"), plain)
    assert not np.array_equal(found("all"), plain)
    for members, words in [("2", "must be different numbers of 0 to 1"), ("a", "--members must be written like 0,2")]:
        error = told("segment", image, "--bundle", place, "-o", tmp_path / "x", "--members", members, code=1)
        assert words in error["error"]["message"]


def test_a_folder_side_by_side(deep, tmp_path, told, printed, monkeypatch):
    """Jobs and outcomes travel as bytes and come back in any order: the answer is the same."""

    def elsewhere(task, jobs, *, cluster, share):
        assert (cluster, share) == ("local", Share(cores=3))
        for number, job in reversed(list(enumerate(jobs))):
            monkeypatch.chdir("/")  # another process stands somewhere else
            (outcome,) = run_jobs(pickle.loads(pickle.dumps(task)), [pickle.loads(pickle.dumps(job))])
            monkeypatch.chdir(tmp_path)
            yield pickle.loads(pickle.dumps(replace(outcome, number=number)))

    images = tmp_path / "images"
    images.mkdir()
    for number in range(2):
        volume(images / f"scan{number}.nii.gz", number)
    (images / "worse.nii.gz").write_bytes(b"no image")
    monkeypatch.chdir(tmp_path)
    arguments = ("segment", "images", "--bundle", deep, "--no-mirror", "--device", "cpu")
    here = told(*arguments, "-o", "here", code=1)
    monkeypatch.setattr("vesalius.predict.folder.joined", lambda _: nullcontext())
    monkeypatch.setattr("vesalius.predict.folder.share_of", lambda _, jobs, *, device: Share(cores=jobs))
    monkeypatch.setattr("vesalius.predict.folder.run_jobs", elsewhere)
    there = told(*arguments, "-o", "there", "--cluster", "local", code=1)
    assert there["failed"] == here["failed"] == 1
    for mine, theirs in zip(here["images"], there["images"], strict=True):
        if "error" not in theirs:
            assert theirs.pop("output") == mine.pop("output").replace("here", "there")
            assert set(theirs.pop("seconds")) == set(mine.pop("seconds")) == {"reading", "computing", "writing"}
        assert theirs == mine
    for number in range(2):
        name = f"scan{number}.nii.gz"
        assert np.array_equal(read_labels(tmp_path / "here" / name).array, read_labels(tmp_path / "there" / name).array)
    words = printed(*arguments, "-o", "again", "--cluster", "local", code=1)
    assert [line.split("/")[1].split(".")[0] for line in words.splitlines()[:2]] == ["scan1", "scan0"]


def test_a_defect_in_a_job_is_not_taken_for_a_broken_image(deep, tmp_path, printed, monkeypatch):
    def broken(*_arguments, **_how):
        raise ZeroDivisionError

    monkeypatch.setattr("vesalius.predict.folder.segment", broken)
    images = [volume(tmp_path / f"{name}.nii", 1) for name in "ab"]
    words = printed("segment", *images, "--bundle", deep, "-o", tmp_path / "out", code=1)
    assert "unexpected ZeroDivisionError" in words


def test_what_is_done_is_skipped(deep, tmp_path, told, printed):
    images = tmp_path / "images"
    images.mkdir()
    for number in range(2):
        volume(images / f"scan{number}.nii.gz", number)
    arguments = ("segment", images, "--bundle", deep, "-o", tmp_path / "out", "--no-mirror")
    first = told(*arguments, "--resume")["images"]  # nothing is there yet: it begins
    volume(images / "scan2.nii.gz", 2)
    second = told(*arguments, "--resume", "--device", "cpu", "--memory", "64GiB")["images"]
    assert [one.get("done_before", False) for one in second] == [True, True, False]
    for before, after in zip(first, second[:2], strict=True):
        del before["backend"], before["seconds"], after["done_before"]
        assert after == before
    assert set(second[2]["seconds"]) == {"reading", "computing", "writing"}
    assert min(second[2]["seconds"].values()) >= 0
    assert second[2]["backend"]
    assert printed(*arguments, "--resume") == "vesalius: 3 of 3 were done before\n"
    words = printed(*arguments, "--resume", "--overlap", "0.25")
    assert [line.split("  ")[0] for line in words.splitlines()] == [one["output"] for one in second]


def test_resuming_needs_a_folder(deep, tmp_path, told):
    image = volume(tmp_path / "a.nii")
    error = told("segment", image, "--bundle", deep, "-o", tmp_path / "b.nii.gz", "--resume", code=1)["error"]
    assert error["message"].startswith("--resume goes on with a folder of results, and b.nii.gz names a file")


def test_one_file_keeps_no_journal(deep, tmp_path, told):
    (tmp_path / "out").mkdir()
    told("segment", volume(tmp_path / "a.nii"), "--bundle", deep, "-o", tmp_path / "out" / "b.nii.gz", "--no-mirror")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.nii.gz"]


@pytest.mark.parametrize(("out", "refused"), [("b.gzz", True), ("b.txt", True), ("b.2", False), ("b.final", False)])
def test_a_slip_in_a_suffix_is_no_folder(out, refused, deep, tmp_path, told):
    image = volume(tmp_path / "a.nii")
    done = told("segment", image, "--bundle", deep, "-o", tmp_path / out, "--no-mirror", code=int(refused))
    if refused:
        assert f"{out}: {out[1:]} is no format for results" in done["error"]["message"]
        (tmp_path / out).mkdir()
        told("segment", image, "--bundle", deep, "-o", tmp_path / out, "--no-mirror")
    assert (tmp_path / out / "a.nii.gz").is_file()


def test_of_several_folders_one_may_be_no_data_set(deep, tmp_path, told):
    (tmp_path / "good").mkdir()
    volume(tmp_path / "good" / "a.nii")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "letter.txt").write_text("no image")
    places = [tmp_path / "bad", tmp_path / "good"]
    done = told("segment", *places, "--bundle", deep, "-o", tmp_path / "out", "--no-mirror", code=1)
    assert done["failed"] == 1
    assert [one["image"] for one in done["images"]] == ["a", "bad"]
    assert done["images"][1]["error"].startswith("bad: no layout recognised")
    assert done["images"][1]["error"].endswith("name each of them")
    error = told("segment", places[0], "--bundle", deep, "-o", tmp_path / "x", code=1)["error"]
    assert error["message"] == done["images"][1]["error"]


def test_a_broken_image_is_named_once(deep, tmp_path, printed):
    images = [volume(tmp_path / "a.nii"), tmp_path / "b.nii", tmp_path / "c.nii"]
    images[1].write_bytes(b"no image")
    write(paired(1)[0], images[2])
    words = printed("segment", *images, "--bundle", deep, "-o", tmp_path / "out", "--no-mirror", code=1).splitlines()
    assert words[0].startswith(str(tmp_path / "out" / "a.nii.gz"))
    assert words[1].startswith("vesalius: b.nii: ")
    assert words[2] == "vesalius: c: the image has 2 channels; the plan needs T1"


def test_the_backends_that_are_offered_are_those_that_there_are():
    assert set(BACKENDS) == set(backends.BACKENDS)


def test_a_backend_by_name(deep, tmp_path, told):
    image = volume(tmp_path / "a.nii")
    arguments = ("segment", image, "--bundle", deep, "--no-mirror", "--device", "cpu", "--backend", "torch-float32")
    (done,) = told(*arguments, "-o", tmp_path / "out")["images"]
    assert done["backend"] == "torch-float32"
    assert main([*map(str, arguments[:-1]), "tensorrt", "-o", str(tmp_path / "out")]) == 2


def test_a_volume_goes_through_a_segmenter_of_pictures_where_that_is_asked_for(flat, deep, tmp_path, told, printed):
    """Two of its 18 slices, each segmented as a picture by hand, are those of the result."""
    scan = volume(tmp_path / "scan.nii.gz")
    asked = ("segment", scan, "--bundle", flat, "-o", tmp_path / "out")
    words = printed(*asked, code=1)
    assert "the image is a volume and the segmenter is for pictures: --by-slice" in words
    (done,) = told(*asked, "--by-slice", "sagittal", "--resume")["images"]
    found = read_labels(done["output"])
    assert done["volume_ml"].keys() == {"ball", "core"}
    assert "intervals" not in done
    image = read(scan)
    assert found.grid == image.grid
    for x in (4, 9):  # y and z of this grid run to the back and to the head; on a screen, to the right and up
        shown = image.array[:, x].transpose(0, 2, 1)[:, ::-1]
        alone = segment(Volume(shown, Grid.from_spacing((16, 16), (1, 1)), image.meta), flat).labels.array
        assert np.array_equal(found.array[x], alone[::-1].T)
    assert len(np.unique(found.array)) > 1
    again = told(*asked, "--by-slice", "axial", "--resume")["images"]
    assert "done_before" not in again[0]  # another slicing is another result
    assert "the segmenter is for volumes" in printed(
        "segment", scan, "--bundle", deep, "-o", tmp_path / "deep", "--by-slice", "auto", code=1
    )
