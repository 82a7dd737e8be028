"""Secondary captures: a segmentation drawn into its images, for who has nothing that shows a SEG."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray
from pydicom.tag import Tag
from pydicom.uid import MultiFrameTrueColorSecondaryCaptureImageStorage

from vesalius.errors import DataError, FormatError
from vesalius.image import LabelMap, Volume
from vesalius.io.dicom.derived import LARGEST_ELEMENT, begin, copy_elements, measures, reference, save
from vesalius.io.dicom.origin import Origin

_WINDOW_CT = (-160.0, 240.0)  # soft tissue: level 40, width 400 HU; Radiopaedia, "Windowing (CT)"
_CLEAN = ("CT", "MR", "PT", "NM")  # modalities whose pictures carry no text of their own


def draw(
    image: Volume, labels: LabelMap, *, window: tuple[float, float] | None = None, opacity: float = 0.3
) -> NDArray[np.uint8]:
    """Draw labels over every slice of an image: an outline in their colour, and a tint inside.

    Args:
        image: One channel, or a colour picture of three.
        labels: On the same grid.
        window: Values shown as black and as white; soft tissue for CT, else the 1st to 99.5th percentile.
        opacity: Of the tint, 0 to 1.

    Returns:
        ``(slices, rows, columns, 3)``; one slice of a picture.

    Raises:
        DataError: The image has several channels that are no colours, lies on another grid, or the window is empty.

    Example:
        >>> from vesalius.image import Grid, Labels
        >>> grid = Grid.from_spacing((5, 4, 2), (1, 1, 1))
        >>> found = LabelMap(np.ones(grid.shape, np.uint8), grid, Labels.of({"all": 1}))
        >>> draw(Volume(np.zeros((1, 5, 4, 2)), grid), found, window=(0, 1)).shape
        (2, 4, 5, 3)
    """
    colour = image.meta.modality == "RGB" and image.channels == 3
    if image.channels != 1 and not colour:
        raise DataError(f"one channel can be drawn, or colours; this image has {image.channels} channels")
    if not image.grid.is_close(labels.grid, tolerance_mm=0.1):
        raise DataError("the labels lie on another grid than the image: resample them first")
    low, high = window or _window(image, colour=colour)
    if not low < high:
        raise DataError(f"the window must run from a lower to a higher value, not from {low} to {high}")
    channels = image.array if image.grid.ndim == 3 else image.array[..., None]
    array = labels.array if image.grid.ndim == 3 else labels.array[..., None]
    made = np.empty((*array.shape[::-1], 3), np.uint8)
    lookup = np.zeros((int(array.max()) + 1, 3), np.float32)
    for label in labels.labels.labels:
        if label.value < len(lookup):
            lookup[label.value] = labels.labels.colour(label.value)
    for at in range(array.shape[2]):
        grey = (channels[..., at].transpose(2, 1, 0).astype(np.float32) - low) * (255 / (high - low))
        picture = np.broadcast_to(grey.clip(0, 255), (*array.shape[1::-1], 3)).copy()
        values = array[..., at].T
        inside = values > 0
        picture[inside] = (1 - opacity) * picture[inside] + opacity * lookup[values[inside]]
        edge = inside & _edges(values)
        picture[edge] = lookup[values[edge]]
        made[at] = np.rint(picture)
    return made


def write_capture(
    pictures: NDArray[np.uint8],
    path: str | os.PathLike[str],
    origin: Origin,
    *,
    description: str = "Segmentation, drawn",
) -> None:
    """Write pictures as one multi-frame secondary capture in the study of the series that they show.

    Any viewer shows them; nothing can be measured in them. Where they come from CT, MR or PET they are said to hold no
    text about the patient; of other images that is unknown, and they are said to hold some.

    Args:
        pictures: ``(slices, rows, columns, 3)``, as many as the series has slices.
        path: The file, by custom ``.dcm``.
        origin: The series, from `vesalius.io.dicom.read_origin`.
        description: Of the new series.

    Raises:
        DataError: The pictures are not as many as the slices, or of another shape.
        FormatError: They would be larger than DICOM allows.
        VesaliusError: The system refused to write.

    Source: DICOM PS3.3 A.8.5 (Multi-frame True Color Secondary Capture), C.8.6.
    """
    expected = (len(origin.frames), *origin.grid.shape[1::-1], 3)
    if pictures.shape != expected or pictures.dtype != np.uint8:
        raise DataError(f"the pictures must be {expected} of uint8, not {pictures.shape} of {pictures.dtype}")
    if pictures.nbytes > LARGEST_ELEMENT:
        raise FormatError("the pictures would be larger than the 4 GiB that DICOM allows")
    source = origin.headers[0]
    modality = str(source.get("Modality") or "OT")
    made = begin(
        origin,
        MultiFrameTrueColorSecondaryCaptureImageStorage,
        modality=modality,
        description=description,
        series_number=7300,
    )
    made.ConversionType = "WSD"
    made.ImageType = ["DERIVED", "SECONDARY"]
    made.PatientOrientation, made.Laterality = "", ""
    told = str(source.get("BurnedInAnnotation") or ("NO" if modality in _CLEAN else "YES"))
    made.BurnedInAnnotation = "YES" if told == "YES" else "NO"
    made.LossyImageCompression = str(source.get("LossyImageCompression") or "00")
    copy_elements(source, made, ("LossyImageCompressionRatio", "LossyImageCompressionMethod"))
    copy_elements(measures(origin.grid), made, ("PixelSpacing",) if origin.grid.ndim == 3 else ())
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PlanarConfiguration = 3, "RGB", 0
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
    made.NumberOfFrames, made.Rows, made.Columns = pictures.shape[:3]
    made.FrameIncrementPointer = Tag("PageNumberVector")
    made.PageNumberVector = list(range(1, len(pictures) + 1))
    made.SourceImageSequence = [reference(header) for header in origin.headers]
    data = pictures.tobytes()
    made.PixelData = data + b"\0" * (len(data) % 2)
    made["PixelData"].VR = "OB"
    save(made, path)


def _edges(values: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Pixels that have another value beside them, or the border of the picture."""
    padded = np.pad(values, 1)
    around = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    found: NDArray[np.bool_] = np.zeros(values.shape, np.bool_)
    for other in around:
        found |= other != values
    return found


def _window(image: Volume, *, colour: bool) -> tuple[float, float]:
    if colour:
        return 0.0, 255.0
    if image.meta.modality == "CT":
        return _WINDOW_CT
    values = image.array.reshape(-1)[:: max(1, image.array.size // 1_000_000)]
    low, high = (float(x) for x in np.percentile(values, (1, 99.5)))
    return (low, high) if low < high else (low, low + 1.0)
