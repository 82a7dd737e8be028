"""However an image is oriented and stored, `segment` says the same about every point in space.

The files are written by nibabel, SimpleITK and pydicom, and the answers are compared point by point, so that no code
of ours decides what "the same place" means.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from numpy.typing import NDArray
from phantoms import ball_case, ball_dataset, untrained_bundle
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid
from scipy.spatial.transform import Rotation

from vesalius.cli import main
from vesalius.io import read_labels

_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_SHAPE = (40, 36, 28)  # of patches of 16: windows overlap on every axis


@dataclass(frozen=True)
class Stored:
    """Voxels and the LPS affine that places them."""

    array: NDArray[np.int16]
    affine: NDArray[np.float64]

    @classmethod
    def oblique(cls, spacing_mm: tuple[float, float, float]) -> "Stored":
        """A ball that is off the centre, on a grid whose axes are turned by 20 degrees and lie in LPS order."""
        affine = np.eye(4)
        turn = Rotation.from_rotvec(np.radians(20) * np.array([1, 2, 2]) / 3).as_matrix()
        affine[:3, :3] = turn * spacing_mm
        affine[:3, 3] = (-31.0, 17.5, 240.25)
        return cls(ball_case(3, shape=_SHAPE).image.array[0].astype(np.int16), affine)

    def turned(self, order: tuple[int, ...], flipped: tuple[int, ...]) -> "Stored":
        """The same voxels at the same points, the index axes in another order and sense."""
        back = np.zeros((4, 4))  # from the new index to the old
        back[3, 3] = 1
        for new, old in enumerate(order):
            back[old, new] = -1 if new in flipped else 1
            back[old, 3] = self.array.shape[old] - 1 if new in flipped else 0
        return Stored(np.flip(self.array.transpose(order), flipped), self.affine @ back)

    def indices_in(self, other: "Stored") -> tuple[NDArray[np.int64], ...]:
        """For every voxel of this image, the index of the voxel of the other that lies at its point."""
        here = np.indices(self.array.shape).reshape(3, -1)
        points = self.affine[:3, :3] @ here + self.affine[:3, 3:]
        inverse = np.linalg.inv(other.affine)
        there = inverse[:3, :3] @ points + inverse[:3, 3:]
        assert np.abs(there - np.rint(there)).max() < 1e-6
        return tuple(np.rint(there).astype(np.int64))


def as_nifti(stored: Stored, folder: Path) -> Path:
    image = nibabel.Nifti1Image(np.asarray(stored.array), _RAS @ stored.affine)
    nibabel.save(image, folder / "image.nii.gz")
    return folder / "image.nii.gz"


def with_itk(stored: Stored, folder: Path, name: str) -> Path:
    image = sitk.GetImageFromArray(np.ascontiguousarray(stored.array.T))
    spacing = np.linalg.norm(stored.affine[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((stored.affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(stored.affine[:3, 3].tolist())
    sitk.WriteImage(image, folder / name)
    return folder / name


def as_npz(stored: Stored, folder: Path) -> Path:
    np.savez(folder / "image.npz", array=stored.array[None], affine=stored.affine, meta=np.array("{}"))
    return folder / "image.npz"


def as_dicom(stored: Stored, folder: Path) -> Path:
    """A series whose file names and instance numbers say nothing about the order of its slices."""
    place = folder / "series"
    place.mkdir()
    spacing = np.linalg.norm(stored.affine[:3, :3], axis=0)
    direction = stored.affine[:3, :3] / spacing
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    for number, k in enumerate(np.random.default_rng(2).permutation(stored.array.shape[2])):
        made: Any = Dataset()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = MRImageStorage
        made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = study, series, frame
        made.Modality, made.SeriesNumber, made.InstanceNumber = "MR", 1, number + 1
        made.ImageType = ["ORIGINAL", "PRIMARY"]
        made.PatientName, made.PatientID = "", ""
        made.ImagePositionPatient = [f"{x:.10g}" for x in stored.affine[:3, :3] @ (0, 0, k) + stored.affine[:3, 3]]
        made.ImageOrientationPatient = [f"{x:.12f}" for x in direction[:, :2].T.ravel()]
        made.PixelSpacing = [float(spacing[1]), float(spacing[0])]
        made.SliceThickness = float(spacing[2])
        made.Columns, made.Rows = stored.array.shape[:2]
        made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
        made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
        made.RescaleSlope, made.RescaleIntercept = 1, -1000
        made.PixelData = (stored.array[:, :, k].T + 1000).astype("<u2").tobytes()
        made.save_as(place / f"{number:03d}.dcm", enforce_file_format=True)
    return place


FORMATS: dict[str, Callable[[Stored, Path], Path]] = {
    "nifti": as_nifti,
    "nrrd": lambda stored, folder: with_itk(stored, folder, "image.nrrd"),
    "mha": lambda stored, folder: with_itk(stored, folder, "image.mha"),
    "npz": as_npz,
    "dicom": as_dicom,
}
SPACINGS = {"as planned": (1.0, 1.0, 1.0), "respaced": (0.8, 1.25, 1.5)}


@pytest.fixture(scope="module", autouse=True)
def single_precision() -> Iterator[None]:
    """Of bfloat16's three digits the last would differ where the images' seventh does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vesalius.predict.backends.eager.fast_dtype", lambda _device: torch.float32)
        yield


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = untrained_bundle(ball_dataset(2), patch_size=(16, 16, 16))
    assert made.plan.spacing_mm == SPACINGS["as planned"]
    return made.save(tmp_path_factory.mktemp("untrained"))


def segmented(image: Path, bundle: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    out = image.parent / "found"
    assert main(["segment", str(image), "--bundle", str(bundle), "-o", str(out), "--no-mirror"]) == 0
    (path,) = (one for one in out.iterdir() if one.suffix != ".jsonl")
    found = read_labels(path)
    return found.array, found.grid.affine


@pytest.fixture(scope="module")
def expected(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, NDArray[Any]]:
    """The answer for each spacing, of the image as it is drawn."""
    found = {}
    for name, spacing in SPACINGS.items():
        found[name], _ = segmented(as_nifti(Stored.oblique(spacing), tmp_path_factory.mktemp("drawn")), bundle)
        assert set(np.unique(found[name])) == {0, 1, 2}
    return found


def agree(spacing: str, stored: Stored, image: Path, bundle: Path, expected: dict[str, NDArray[Any]]) -> None:
    drawn = Stored.oblique(SPACINGS[spacing])
    found, affine = segmented(image, bundle)
    assert np.abs(affine - stored.affine).max() < 1e-4  # NIfTI holds single precision
    differing = np.count_nonzero(found[drawn.indices_in(stored)] != expected[spacing].ravel())
    # Where images are respaced, the last digits of the stored spacing may turn a voxel whose classes all but tie.
    assert differing <= (found.size * 1e-4 if spacing == "respaced" else 0)


TURNS = [
    *((order, flipped) for order in list(permutations(range(3)))[1:] for flipped in ((), (0, 2))),
    *(((0, 1, 2), flipped) for flipped in ((0,), (1,), (2,), (0, 1), (0, 1, 2))),
]


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize(("order", "flipped"), TURNS, ids=str)
def test_turned(order, flipped, spacing, bundle, expected, tmp_path):
    stored = Stored.oblique(SPACINGS[spacing]).turned(order, flipped)
    agree(spacing, stored, as_nifti(stored, tmp_path), bundle, expected)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("form", FORMATS)
def test_stored(form, spacing, bundle, expected, tmp_path):
    # Right-handed, as DICOM's slices are.
    stored = Stored.oblique(SPACINGS[spacing]).turned((2, 0, 1), (0, 1))
    agree(spacing, stored, FORMATS[form](stored, tmp_path), bundle, expected)
