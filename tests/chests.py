"""Small synthetic chests, and LIDC-IDRI written around them: DICOM with the XML of four readers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from scipy import ndimage

from vesalius.studies.lung_nodule.phantom import Chest, make_chest

COARSE_MM = (2.4, 2.4, 3.0)


def small_chest(seed: int = 0, *, nodules: int = 3) -> Chest:
    """A chest on so coarse a grid that tests are quick."""
    return make_chest(np.random.default_rng(seed), spacing_mm=COARSE_MM, nodules=nodules)


def write_lidc(folder: Path, chests: list[Chest], *, readers: int = 4) -> None:
    """A folder for each patient: study, series, DICOM files and an XML beside them.

    All readers outline the first nodule, reader 0 alone the last; reader 1 marks a small nodule, reader 2 no nodule.
    """
    for number, chest in enumerate(chests, start=1):
        place = folder / f"LIDC-IDRI-{number:04d}" / "01-01-2000-30178" / "3000566.000000-03192"
        place.mkdir(parents=True)
        uids = write_series(chest, place)
        sessions = [
            [n for n in range(1, len(chest.nodules) + 1) if n < len(chest.nodules) or reader == 0]
            for reader in range(readers)
        ]
        (place / f"{number:03d}.xml").write_text(xml_of(chest, sessions, uids))


def write_series(chest: Chest, place: Path) -> list[str]:
    """The slices of a CT; gives their UIDs."""
    grid, uids, series, study = chest.image.grid, [], generate_uid(), generate_uid()
    for k in range(grid.shape[2]):
        made = Dataset()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = CTImageStorage
        made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = generate_uid()
        made.StudyInstanceUID, made.SeriesInstanceUID, made.Modality, made.SeriesNumber = study, series, "CT", 3000566
        made.PatientID = made.PatientName = "LIDC-IDRI"
        made.FrameOfReferenceUID = study
        made.InstanceNumber = k + 1
        made.Rows, made.Columns = grid.shape[1], grid.shape[0]
        made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
        made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 1
        made.RescaleSlope, made.RescaleIntercept = 1, 0
        made.PixelSpacing = [grid.spacing_mm[1], grid.spacing_mm[0]]
        made.SliceThickness = grid.spacing_mm[2]
        made.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        made.ImagePositionPatient = [round(float(x), 6) for x in grid.to_points((0, 0, k))]
        made.PixelData = np.ascontiguousarray(chest.image.array[0, :, :, k].T.astype("<i2")).tobytes()
        made.save_as(place / f"1-{k + 1:03d}.dcm", enforce_file_format=True)
        uids.append(str(made.SOPInstanceUID))
    return uids


def xml_of(chest: Chest, sessions: list[list[int]], uids: list[str]) -> str:
    """The readers' file: of each session, which nodules it outlines."""
    said = []
    for reader, numbers in enumerate(sessions):
        parts = [_outlined(chest, number, uids) for number in numbers]
        if reader == 1:
            parts.append(f"<unblindedReadNodule><noduleID>small</noduleID>{_roi(chest, [(9, 9)], 5, uids)}"
                         "</unblindedReadNodule>")  # fmt: skip
        if reader == 2:
            z = float(chest.image.grid.to_points((0, 0, 6))[2])
            parts.append(
                f"<nonNodule><nonNoduleID>x</nonNoduleID><imageZposition>{z}</imageZposition>"
                f"<imageSOP_UID>{uids[6]}</imageSOP_UID><locus><xCoord>12</xCoord><yCoord>13</yCoord></locus></nonNodule>"
            )
        said.append(f"<readingSession><annotationVersion>3.12</annotationVersion>{''.join(parts)}</readingSession>")
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<LidcReadMessage uid="1.3.6.1.4.1.14519.5.2.1.6279.6001.1" '
        'xmlns="http://www.nih.gov" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f"<ResponseHeader><Version>1.8.1</Version></ResponseHeader>{''.join(said)}</LidcReadMessage>"
    )


def _outlined(chest: Chest, number: int, uids: list[str]) -> str:
    mask = chest.shapes == number
    levels = np.flatnonzero(mask.any(axis=(0, 1)))
    rois = [_roi(chest, _ring(mask[:, :, k]), int(k), uids) for k in levels]
    return f"<unblindedReadNodule><noduleID>Nodule {number:03d}</noduleID>{''.join(rois)}</unblindedReadNodule>"


def _ring(plane: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The pixels just outside of a region, in order around its centre (the regions are round)."""
    outside = ndimage.binary_dilation(plane, np.ones((3, 3))) & ~plane
    places = np.argwhere(outside)
    middle = np.argwhere(plane).mean(axis=0)
    around = np.arctan2(places[:, 1] - middle[1], places[:, 0] - middle[0])
    return [(int(i), int(j)) for i, j in places[np.argsort(around)]]


def _roi(chest: Chest, ring: list[tuple[int, int]], k: int, uids: list[str]) -> str:
    z = float(chest.image.grid.to_points((0, 0, k))[2])
    edges = "".join(f"<edgeMap><xCoord>{i}</xCoord><yCoord>{j}</yCoord></edgeMap>" for i, j in ring)
    return (
        f"<roi><imageZposition>{z:.6f}</imageZposition><imageSOP_UID>{uids[k]}</imageSOP_UID>"
        f"<inclusion>TRUE</inclusion>{edges}</roi>"
    )
