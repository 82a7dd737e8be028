"""What changes the origin of a result, and what does not."""

import os
from dataclasses import replace

import pytest
from phantoms import as_cascade, ball_case, drawn_bundle

from vesalius.bundle import Bundle
from vesalius.io import write
from vesalius.predict.origin import bundle_digest, origin_of
from vesalius.transform import KeepLargest, Postprocessing


def test_what_decides_a_bundles_results(bundle, tmp_path):
    kept = Bundle.load(bundle.save(tmp_path / "bundle"))
    same = bundle_digest(kept)
    assert bundle_digest(Bundle.load(tmp_path / "bundle")) == same
    assert bundle_digest(kept.with_card(name="another")) == same
    coarse = drawn_bundle(kept.plan, seed=7)
    others = [
        drawn_bundle(kept.plan, seed=2),
        replace(kept, members=kept.members * 2),
        replace(kept, plan=replace(kept.plan, overlap=0.25)),
        replace(kept, postprocessing=Postprocessing((KeepLargest(name="core"),))),
        replace(kept, partners=(coarse,)),
        replace(drawn_bundle(as_cascade(kept.plan)), coarse=coarse),
        replace(drawn_bundle(as_cascade(kept.plan)), coarse=kept),
    ]
    digests = [bundle_digest(other) for other in others]
    assert len({same, *digests}) == 1 + len(others)


def test_files_count_by_name_size_and_time(tmp_path):
    image = tmp_path / "a.nii"
    image.write_bytes(b"1234")
    os.utime(image, ns=(0, 5_000))

    def now(path=image, **settings):
        return origin_of([path], "bundle", settings)

    first = now()
    assert now() == first
    assert len({first, now(overlap=0.5), now(overlap=None), origin_of([image], "other", {})}) == 4
    image.write_bytes(b"4321")
    assert now() != first
    os.utime(image, ns=(0, 5_000))
    assert now() == first
    image.write_bytes(b"12345")
    os.utime(image, ns=(0, 5_000))
    assert now() != first
    (tmp_path / "b").mkdir()
    moved = image.rename(tmp_path / "b" / "a.nii")
    moved.write_bytes(b"1234")
    os.utime(moved, ns=(0, 5_000))
    assert now(moved) == first  # a data set may move as a whole
    assert now() != first  # and this one is not there


@pytest.mark.parametrize("name", ["a.mhd", "a.nhdr", "a.hdr"])
def test_the_voxels_of_a_header_count(name, tmp_path):
    write(ball_case(1, shape=(6, 6, 6)).image, tmp_path / name)
    (voxels,) = (path for path in tmp_path.iterdir() if path.name != name)
    first = origin_of([tmp_path / name], "bundle", {})
    os.utime(voxels, ns=(0, 0))
    assert origin_of([tmp_path / name], "bundle", {}) != first


def test_all_files_of_a_folder_count(tmp_path):
    for n in range(3):
        (tmp_path / f"{n}.dcm").write_bytes(b"slice")
    first = origin_of([tmp_path], "bundle", {})
    (tmp_path / "2.dcm").unlink()
    assert origin_of([tmp_path], "bundle", {}) != first
