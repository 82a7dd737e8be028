"""Segment one image of many, from file to file: a job that can be done here or on another machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from vesalius.bundle import built_in
from vesalius.image import LabelMap, Volume
from vesalius.io import read, write
from vesalius.io.atomic import make_folder
from vesalius.io.layouts.files import stem
from vesalius.io.layouts.load import read_channels
from vesalius.predict.segment import segment
from vesalius.predict.segmenter import Segmenter, load_segmenter


@dataclass(frozen=True, kw_only=True)
class FileJob:
    """An image to segment, in words that travel: paths and settings, nothing that is loaded.

    Args:
        images: The files of its channels, or the one file or DICOM folder that holds them all.
        target: Of the label map. Probabilities go beside it, as ``NAME-probabilities.nii.gz``.
        bundle: Path or name of the segmenter.
        series: Which series of a DICOM folder.
        device: As for `segment`, like all that follows.
        channels: Those that the image holds.
        members: Those that are used.
        mirror: Whether to average over mirror images.
        overlap: Of neighbouring windows.
        postprocess: Whether to clean up.
        probabilities: Whether to write these too.
    """

    images: tuple[Path, ...]
    target: Path
    bundle: str
    series: str | None = None
    device: str = "auto"
    channels: tuple[str, ...] | None = None
    members: tuple[int, ...] | None = None
    mirror: bool | None = None
    overlap: float | None = None
    postprocess: bool = True
    probabilities: bool = False


@dataclass(frozen=True)
class FileResult:
    """What was found in an image.

    Args:
        target: Where the label map is.
        voxels: Of each label.
        volume_ml: Of each label; None where voxels have no volume in space.
    """

    target: Path
    voxels: dict[str, int]
    volume_ml: dict[str, float] | None


def segment_file(
    job: FileJob,
    *,
    segmenter: Segmenter | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> FileResult:
    """Read an image, segment it and write the result: a task for `vesalius.jobs.run_jobs`.

    Args:
        job: What to do.
        segmenter: The job's bundle, when it is loaded already. Left out, it is loaded, and kept for the next job that
            this process gets.
        progress: Called with (done, total) windows.

    Returns:
        The sizes of what was found.

    Raises:
        VesaliusError: The image cannot be read, does not suit the bundle, or the result cannot be written.
    """
    ready = segmenter or _kept(job.bundle, _written(job.bundle), job.device, job.members)
    prediction = segment(
        _image(job),
        ready,
        channels=job.channels,
        mirror=job.mirror,
        overlap=job.overlap,
        postprocess=job.postprocess,
        probabilities=job.probabilities,
        progress=progress,
    )
    make_folder(job.target.parent)
    write(prediction.labels, job.target)
    if prediction.probabilities is not None:
        write(prediction.probabilities, job.target.with_name(f"{stem(job.target)}-probabilities.nii.gz"))
    return _sizes(job.target, prediction.labels, calibrated=ready.bundle.plan.calibrated)


def _image(job: FileJob) -> Volume:
    if len(job.images) == 1:
        return read(job.images[0], series=job.series)
    return read_channels(job.images)


@lru_cache(maxsize=1)
def _kept(bundle: str, written: int, device: str, members: tuple[int, ...] | None) -> Segmenter:  # noqa: ARG001
    """The segmenter of the job before, unless the bundle was written anew."""
    return load_segmenter(bundle, device=device, members=members)


def _written(bundle: str) -> int:
    """When a bundle was written, ns; 0 for one that is built in."""
    place = Path(bundle)
    if not place.exists() and bundle in built_in():
        return 0
    description = place / "bundle.json" if place.is_dir() else place
    return description.stat().st_mtime_ns if description.exists() else 0


def _sizes(target: Path, found: LabelMap, *, calibrated: bool) -> FileResult:
    counts = found.counts()
    voxels = {label.name: counts.get(label.value, 0) for label in found.labels.labels}
    if not calibrated or found.grid.ndim != 3:
        return FileResult(target, voxels, None)
    each_ml = found.grid.voxel_volume_mm3 / 1000
    return FileResult(target, voxels, {name: round(count * each_ml, 4) for name, count in voxels.items()})
