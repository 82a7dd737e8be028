"""What a hospital sends: a valid CT series of an awkward phantom, and what validators say of files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from vesalius.image import Code, Grid, Label, LabelMap, Labels

PATIENT = ("CANARY^PHANTOM", "CANARY-4711", "19470711", "O")


def oblique_grid(shape: tuple[int, int, int] = (52, 40, 14)) -> Grid:
    """Oblique, anisotropic, with pixels and pictures that are not square."""
    a, b = np.radians(23.0), np.radians(-11.0)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]) @ np.array(
        [[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]]
    )
    return Grid.from_spacing(shape, (0.7, 1.3, 3.1), origin_mm=(-21.5, 40.25, -107.0), direction=turn)


def phantom_labels(grid: Grid | None = None) -> LabelMap:
    """Holes, islands in holes, thin structures, several pieces, the image's border, single pixels.

    Label 2 lies at the border of the image, 3 is one pixel thin, 5 has no voxel.
    """
    grid = grid or oblique_grid()
    array = np.zeros(grid.shape, np.uint8)
    i, j, k = np.indices(grid.shape)
    x, y = i - 24, (j - 18) * 1.6
    radius = np.hypot(x, y)
    array[(radius < 20) & (k > 1) & (k < 11)] = 1
    array[(radius < 14) & (k > 3) & (k < 9)] = 0  # a hole
    array[(radius < 8) & (k > 4) & (k < 8)] = 1  # an island in it
    array[(np.hypot(x - 1, y) < 3) & (k == 6)] = 0  # a hole in the island
    array[30:34, 17:19, 5] = 0
    array[:6, :9] = 2  # two borders, every slice
    array[46:, 30:, 7] = 2
    array[50, :, 3] = 3
    array[::3, 38, 12] = 3  # single pixels
    array[40:45, 3, 9], array[42, 1:6, 9] = 3, 3
    array[10, 30, 0] = array[20, 30, 6] = array[10, 31, 13] = 4  # one pixel each, far apart
    labels = Labels(
        (
            Label("left lung", 1, (200, 30, 90), Code("SCT", "44029006", "Left lung")),
            Label("liver", 2, code=Code("SCT", "10200004", "Liver")),
            Label("Gefäß", 3),
            Label("seeds", 4),
            Label("spleen", 5),
        )
    )
    return LabelMap(array, grid, labels)


def phantom_hu(labels: LabelMap) -> np.ndarray:
    """Whole HU: a value for each label, with a ramp so that mean, extremes and deviation differ."""
    ramp = np.indices(labels.grid.shape).sum(0) % 7 - 3
    return np.array([-1000, -700, 60, 200, 900, 0], np.int16)[labels.array] + ramp.astype(np.int16)


def write_ct(folder: Path, grid: Grid, hu: np.ndarray, **elements: object) -> Path:
    """Write a CT series that dciodvfy finds no error in, its files in another order than its slices.

    Args:
        folder: Is made.
        grid: Orthogonal.
        hu: Whole numbers ``(i, j, k)``.
        elements: That are set in every file, or left out where None.
    """
    folder.mkdir(parents=True, exist_ok=True)
    turn = grid.direction
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    order = np.random.default_rng(3).permutation(grid.shape[2])
    for at in range(grid.shape[2]):
        made = Dataset()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.SOPClassUID, made.SOPInstanceUID = CTImageStorage, generate_uid()
        made.PatientName, made.PatientID, made.PatientBirthDate, made.PatientSex = PATIENT
        made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = study, series, frame
        made.StudyDate, made.StudyTime, made.StudyID, made.AccessionNumber = "20260203", "101500", "7", "ACC99"
        made.BodyPartExamined = "CHEST"
        made.StudyDescription, made.ReferringPhysicianName, made.PatientAge = "Thorax", "CANARY^REFERRER", "079Y"
        made.Modality, made.SeriesNumber, made.InstanceNumber, made.AcquisitionNumber = "CT", 4, at + 1, 1
        made.ContentDate, made.ContentTime = "20260203", "101501"
        made.Manufacturer, made.KVP, made.PatientPosition, made.PositionReferenceIndicator = "Maker", "120", "HFS", ""
        made.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        made.SliceThickness = f"{grid.spacing_mm[2]:.6g}"
        made.ImagePositionPatient = [f"{x:.9f}"[:16] for x in grid.to_points((0, 0, at))]
        made.ImageOrientationPatient = [f"{x:.12f}"[:16] for x in (*turn[:, 0], *turn[:, 1])]
        made.PixelSpacing = [f"{grid.spacing_mm[1]:.6g}", f"{grid.spacing_mm[0]:.6g}"]
        made.Columns, made.Rows = grid.shape[:2]
        made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
        made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
        made.RescaleSlope, made.RescaleIntercept, made.RescaleType = 1, -1024, "HU"
        made.PixelData = (hu[:, :, at].T + 1024).astype("<u2").tobytes()
        for keyword, value in elements.items():
            if value is None:
                del made[keyword]
            else:
                setattr(made, keyword, value)
        made.save_as(folder / f"{order[at]:03d}.dcm", enforce_file_format=True)
    return folder


def tool(name: str) -> str:
    """The path of another program, of Python's environment or of the system; the test is skipped without it."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def complaints(path: Path) -> list[str]:
    """The errors that dciodvfy finds in a file, without its warnings."""
    done = subprocess.run([tool("dciodvfy"), str(path)], capture_output=True, text=True, errors="replace", check=False)
    assert "dciodvfy" not in done.stderr, done.stderr  # it could not open the file
    return [line for line in done.stderr.splitlines() if line.startswith("Error")]


def inconsistencies(paths: list[Path]) -> list[str]:
    """What dcentvfy says of files that should agree on patient, study, series and frame of reference."""
    done = subprocess.run(
        [tool("dcentvfy"), *map(str, paths)], capture_output=True, text=True, errors="replace", check=False
    )
    return [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
