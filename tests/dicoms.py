"""DICOM objects made on the spot, each as small as its trap allows."""

from pathlib import Path
from typing import Any

import numpy as np
from canaries import BIRTH_DATE, ID, NAME, REMARK, STUDY_DATE
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)

SECRETS = (NAME, ID, BIRTH_DATE, REMARK)


class Maker:
    """Makes objects and files in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.series = generate_uid()

    def image(self, pixels: NDArray[Any], *, storage: UID = CTImageStorage, **elements: Any) -> Dataset:
        """An image of ``(rows, columns)``, ``(rows, columns, 3)`` or ``(frames, rows, columns)``; None leaves out."""
        colour = pixels.ndim == 3 and pixels.shape[-1] == 3 and pixels.dtype == np.uint8
        made = Dataset()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = storage
        made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
        made.StudyInstanceUID = generate_uid()
        made.PatientName, made.PatientID, made.PatientBirthDate, made.StudyDate = NAME, ID, BIRTH_DATE, STUDY_DATE
        made.Modality = {CTImageStorage: "CT", MRImageStorage: "MR", EnhancedMRImageStorage: "MR"}.get(storage, "OT")
        made.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        made.SeriesInstanceUID, made.SeriesNumber, made.SeriesDescription = self.series, 3, REMARK
        made.Rows, made.Columns = pixels.shape[:2] if colour or pixels.ndim == 2 else pixels.shape[1:3]
        if pixels.ndim == 3 and not colour:
            made.NumberOfFrames = pixels.shape[0]
        made.SamplesPerPixel = 3 if colour else 1
        made.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
        if colour:
            made.PlanarConfiguration = 0
        made.BitsAllocated = made.BitsStored = 8 * pixels.dtype.itemsize
        made.HighBit = made.BitsStored - 1
        made.PixelRepresentation = int(pixels.dtype.kind == "i")
        if storage == CTImageStorage:
            made.RescaleSlope, made.RescaleIntercept, made.SliceThickness = 1, -1024, 2
        if storage in (CTImageStorage, MRImageStorage):
            made.PixelSpacing = [0.5, 0.75]
            made.ImagePositionPatient, made.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
        made.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
        for keyword, value in elements.items():
            if value is None:
                delattr(made, keyword)
            else:
                setattr(made, keyword, value)
        return made

    def write(self, made: Dataset, name: str = "image.dcm", **how: Any) -> Path:
        """Write an object below the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        made.save_as(path, enforce_file_format=True, **how)
        return path

    def stack(
        self,
        array: NDArray[Any],
        *,
        orientation: Any = (1, 0, 0, 0, 1, 0),
        step: Any = None,
        origin: Any = (-20.0, 30.0, 5.0),
        positions: list[float] | None = None,
        **elements: Any,
    ) -> list[Dataset]:
        """Slices ``(k, rows, columns)`` one ``step`` apart (2 mm along the normal at first), or at ``positions``."""
        step = np.cross(orientation[:3], orientation[3:]) * 2.0 if step is None else np.asarray(step)
        places = range(len(array)) if positions is None else positions
        return [
            self.image(
                pixels,
                ImagePositionPatient=[round(float(x), 8) for x in np.asarray(origin) + place * step],
                ImageOrientationPatient=[round(float(x), 10) for x in orientation],
                InstanceNumber=1 + number,
                **elements,
            )
            for number, (pixels, place) in enumerate(zip(array, places, strict=True))
        ]

    def write_shuffled(self, slices: list[Dataset]) -> Path:
        """Write slices under names that sort in another order, in two sub-folders; return the folder."""
        order = np.random.default_rng(5).permutation(len(slices))
        for name, made in zip(order, slices, strict=True):
            self.write(made, f"{'ab'[name % 2]}/{name:03d}")
        return self.folder

    def enhanced(self, pixels: NDArray[Any], frames: list[dict[str, Any]], **elements: Any) -> Dataset:
        """An enhanced MR object; each frame gives ``position`` and, optionally, orientation, slope, echo, time …"""
        made = self.image(pixels, storage=EnhancedMRImageStorage, **elements)
        shared = Dataset()
        shared.PixelMeasuresSequence = [Dataset()]
        shared.PixelMeasuresSequence[0].PixelSpacing = [0.5, 0.75]
        shared.PixelMeasuresSequence[0].SliceThickness = 3
        made.SharedFunctionalGroupsSequence = [shared]
        items = []
        for frame in frames:
            item = Dataset()
            item.PlanePositionSequence = [Dataset()]
            item.PlanePositionSequence[0].ImagePositionPatient = list(frame["position"])
            item.PlaneOrientationSequence = [Dataset()]
            item.PlaneOrientationSequence[0].ImageOrientationPatient = frame.get("orientation", [1, 0, 0, 0, 1, 0])
            item.PixelValueTransformationSequence = [Dataset()]
            item.PixelValueTransformationSequence[0].RescaleSlope = frame.get("slope", 1)
            item.PixelValueTransformationSequence[0].RescaleIntercept = frame.get("intercept", 0)
            item.FrameContentSequence = [Dataset()]
            item.FrameContentSequence[0].StackID = "1"
            if "time" in frame:
                item.FrameContentSequence[0].TemporalPositionIndex = frame["time"]
            if "echo" in frame:
                item.MREchoSequence = [Dataset()]
                item.MREchoSequence[0].EffectiveEchoTime = float(frame["echo"])
            items.append(item)
        made.PerFrameFunctionalGroupsSequence = items
        return made
