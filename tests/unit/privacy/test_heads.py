import numpy as np
import pytest
from drawn_heads import GRID, parts, phantom
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from vesalius.errors import PrivacyError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.io import read, write
from vesalius.io.dicom.series import read_series
from vesalius.privacy import heads
from vesalius.privacy.deface import face_mask
from vesalius.privacy.folder import deidentify
from vesalius.privacy.profile import make_profile

KEY = b"a key for the tests of heads"
ROWS, COLUMNS, SLICES = 12, 9, 5


@pytest.fixture
def series(tmp_path):
    """An oblique MR, whose rows and columns differ in number, in an order of files that is not that of space."""
    folder = tmp_path / "in"
    folder.mkdir()
    study, of = generate_uid(), generate_uid()
    row, column = np.array([0.8, 0.6, 0]), np.array([0, 0, -1.0])
    normal = np.cross(row, column)
    for number in range(SLICES):
        dataset = Dataset()
        dataset.SOPClassUID, dataset.SOPInstanceUID = MRImageStorage, generate_uid()
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = study, of, of
        dataset.PatientName, dataset.PatientID, dataset.Modality = "Doering^Jane", "MRN-4711", "MR"
        dataset.ImageOrientationPatient = [*row, *column]
        dataset.ImagePositionPatient = [round(float(x), 4) for x in 2.0 * number * normal]
        dataset.PixelSpacing, dataset.SliceThickness, dataset.InstanceNumber = [1.5, 1], 2, number + 1
        dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = ROWS, COLUMNS, 1
        dataset.PhotometricInterpretation, dataset.PixelRepresentation = "MONOCHROME2", 0
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
        pixels = np.arange(ROWS * COLUMNS, dtype=np.uint16).reshape(ROWS, COLUMNS) + 100 * number + 7
        dataset.PixelData = pixels.tobytes()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.save_as(folder / f"{(number * 3) % SLICES}.dcm", enforce_file_format=True)
    return folder


def face_in(image: Volume, brain: LabelMap | None = None) -> LabelMap:
    """Not symmetric in any axis."""
    face = np.zeros(image.grid.shape, np.uint8)
    face[1:3, 4:9, 2:] = 1
    return LabelMap(face, image.grid, Labels.of({"face": 1}))


def test_the_face_goes_where_it_is_and_nothing_else_changes(series, tmp_path, monkeypatch):
    monkeypatch.setattr(heads, "face_mask", face_in)
    report = deidentify(series, tmp_path / "out", profile=make_profile(["faces"]), key=KEY)
    assert len(report.written) == SLICES
    assert all("took the face off the head" in one.actions for one in report.written)
    before, after = read_series(series), read_series(tmp_path / "out")
    np.testing.assert_array_equal(before.grid.affine, after.grid.affine)
    face = face_in(before).array > 0
    np.testing.assert_array_equal(before.array[0][~face], after.array[0][~face])
    least = before.array[0].min(axis=(0, 1))
    np.testing.assert_array_equal(after.array[0][face], np.broadcast_to(least, face.shape)[face])
    for path in (tmp_path / "out").rglob("*.dcm"):
        dataset = dcmread(path)
        assert dataset.RecognizableVisualFeatures == "NO"
        assert "113102" in [item.CodeValue for item in dataset.DeidentificationMethodCodeSequence]


def test_what_is_not_surely_a_head_is_held_back_whole(series, tmp_path):
    report = deidentify(series, tmp_path / "out", profile=make_profile(["faces"]), key=KEY)
    assert not report.written
    assert len(report.quarantined) == SLICES
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_volumes_lose_their_faces_too(series, tmp_path, monkeypatch):
    def deface(image: Volume, brain: LabelMap | None = None) -> Volume:
        if image.grid.shape != (COLUMNS, ROWS, SLICES):
            raise PrivacyError("not a head")
        return image.with_array(np.zeros_like(image.array))

    monkeypatch.setattr(heads, "deface", deface)
    (tmp_path / "volumes").mkdir()
    write(read_series(series), tmp_path / "volumes" / "head.nii.gz")
    other = Volume(np.ones((1, 3, 4, 5), np.int16), Grid.from_spacing((3, 4, 5), (1, 1, 1)))
    write(other, tmp_path / "volumes" / "knee.nii.gz")
    report = deidentify(tmp_path / "volumes", tmp_path / "out", profile=make_profile(["faces"]), key=KEY)
    assert len(report.quarantined) == 1
    (made,) = (tmp_path / "out").glob("*.nii.gz")
    assert read(made).array.max() == 0


def test_a_brain_that_is_found_is_kept(tmp_path):
    """A drawn head, and a segmenter whose brain reaches a few voxels into what would go: none of them does."""
    (tmp_path / "in").mkdir()
    image = phantom()
    write(image, tmp_path / "in" / "head.nii.gz")
    gone = face_mask(image, brain=whole_brain()).array > 0
    nearest = np.argwhere(gone & parts()["head"])[:20]  # half a millilitre
    brain = whole_brain(nearest)
    asked = []

    def find(image: Volume) -> LabelMap:
        asked.append(image.grid.shape)
        return brain

    report = deidentify(tmp_path / "in", tmp_path / "out", profile=make_profile(["faces"]), key=KEY, find_brain=find)
    assert asked == [image.grid.shape]
    assert report.written[0].actions[-2:] == (heads._DONE, heads._KEPT)
    (made,) = (tmp_path / "out").glob("*.nii.gz")
    after = read(made).array[0]
    np.testing.assert_array_equal(after[brain.array > 0], image.array[0][brain.array > 0])
    assert (after != image.array[0]).sum() > 1000


def whole_brain(more: np.ndarray | None = None) -> LabelMap:
    drawn = parts()["brain"].astype(np.uint8)
    if more is not None:
        drawn[tuple(more.T)] = 1
    return LabelMap(drawn, GRID, Labels.of({"brain": 1}))


def test_where_no_brain_is_found_the_head_is_taken_as_before(tmp_path):
    (tmp_path / "in").mkdir()
    write(phantom(), tmp_path / "in" / "head.nii.gz")
    made = [
        deidentify(tmp_path / "in", tmp_path / name, profile=make_profile(["faces"]), key=KEY, find_brain=find)
        for name, find in (("without", None), ("nothing", lambda _: None))
    ]
    assert [one.written[0].actions[-1] for one in made] == [heads._DONE] * 2
    paths = [next((tmp_path / name).glob("*.nii.gz")) for name in ("without", "nothing")]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_brain_that_reaches_the_face_holds_the_head_back(tmp_path):
    (tmp_path / "in").mkdir()
    write(phantom(), tmp_path / "in" / "head.nii.gz")
    brain = whole_brain(np.argwhere(parts()["eyes"]))
    profile = make_profile(["faces"])
    report = deidentify(tmp_path / "in", tmp_path / "out", profile=profile, key=KEY, find_brain=lambda _: brain)
    assert not report.written
    assert report.quarantined[0].doubts == (heads._DOUBT,)


def test_series_that_show_no_face_are_not_looked_at(series, tmp_path):
    for path in series.glob("*.dcm"):
        dataset = dcmread(path)
        dataset.Modality = "XA"
        dataset.BurnedInAnnotation = "NO"
        dataset.save_as(path)
    report = deidentify(series, tmp_path / "out", profile=make_profile(["faces"]), key=KEY)
    assert len(report.written) == SLICES
    made = dcmread(tmp_path / "out" / report.written[0].name)
    assert "RecognizableVisualFeatures" not in made
    # It is said of the patient, so that all objects of one agree.
    assert "113102" in [item.CodeValue for item in made.DeidentificationMethodCodeSequence]
