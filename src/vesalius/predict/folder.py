"""Segment images from file to file: one as a job that can be done here or on another machine, or a whole folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from vesalius.bundle import Bundle, built_in
from vesalius.errors import DataError, VesaliusError
from vesalius.image import LabelMap, Volume
from vesalius.io import read
from vesalius.io.atomic import make_folder
from vesalius.io.layouts.load import read_channels
from vesalius.jobs import Outcome, joined, run_jobs, share_of
from vesalius.predict.journal import Entry, note, read_journal, sha256_of
from vesalius.predict.origin import bundle_digest, origin_of
from vesalius.predict.outer import outer_paths, outer_regions
from vesalius.predict.pipeline import overlapped
from vesalius.predict.results import source_of, write_labels, write_probabilities
from vesalius.predict.segment import Prediction, segment
from vesalius.predict.segmenter import Segmenter, load_segmenter
from vesalius.predict.slicewise import Slicing, check_slicing, segment_slices
from vesalius.predict.views import Mirror

if TYPE_CHECKING:
    from vesalius.io.dicom import Origin

_NO_SETTING = {"images", "target", "bundle", "device", "memory_gib"}  # of a job: what its result does not depend on


@dataclass(frozen=True, kw_only=True)
class FileJob:
    """An image to segment, in words that travel: paths and settings, nothing that is loaded.

    Args:
        images: The files of its channels, or the one file or DICOM folder that holds them all.
        target: Of the label map. Probabilities go beside it, as ``NAME-probabilities.nii.gz``. Of a DICOM series it
            may be ``.dcm``: a segmentation in the same study, and the probabilities a parametric map.
        bundle: Path or name of the segmenter.
        series: Which series of a DICOM folder.
        device: As for `segment`, like all that follows.
        backend: What computes the networks.
        memory_gib: To take at most; nothing is read ahead then.
        channels: Those that the image holds.
        members: Those that are used.
        mirror: Over which mirror images to average.
        overlap: Of neighbouring windows.
        focus: Whether a coarse look finds where to look closely.
        slicing: How a volume is cut into slices for a segmenter of pictures, see `segment_slices`; not where left out.
        postprocess: Whether to clean up.
        probabilities: Whether to write these too.
        outer: By structure, from which probability voxels belong to its outer region, which is written too, as
            ``NAME-outer-STRUCTURE``; see `vesalius.predict.outer`. None are where it is left out.
    """

    images: tuple[Path, ...]
    target: Path
    bundle: str
    series: str | None = None
    device: str = "auto"
    backend: str = "auto"
    memory_gib: float | None = None
    channels: tuple[str, ...] | None = None
    members: tuple[int, ...] | None = None
    mirror: Mirror | None = None
    overlap: float | None = None
    focus: bool = False
    slicing: Slicing | None = None
    postprocess: bool = True
    probabilities: bool = False
    outer: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Work:
    """What it took to segment an image.

    Args:
        backend: What computed the networks: a name of `vesalius.predict.backends`, or several, the busiest first, where
            it was being found out which is the fastest.
        reading_s: From files to an image, seconds of the clock, like all that follows.
        computing_s: From the image to labels.
        writing_s: From labels to files that are on the disk.
    """

    backend: str
    reading_s: float
    computing_s: float
    writing_s: float


@dataclass(frozen=True)
class FileResult:
    """What was found in an image.

    Args:
        target: Where the label map is.
        voxels: Of each label.
        volume_ml: Of each label; None where voxels have no volume in space.
        sha256: Of each file that was written, by name.
        work: What it took; None where it had been done before.
        outer: Where the outer region of each structure is.
    """

    target: Path
    voxels: Mapping[str, int]
    volume_ml: Mapping[str, float] | None
    sha256: Mapping[str, str]
    work: Work | None
    outer: Mapping[str, Path] = field(default_factory=dict)


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
    ready = segmenter or _kept(job.bundle, _written(job.bundle), job.device, job.members, job.backend)
    return _write(job, _compute(job, _read(job), ready, progress))


def segment_files(
    jobs: Sequence[FileJob],
    bundle: Bundle,
    *,
    journal: bool = False,
    resume: bool = False,
    cluster: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Outcome[FileResult]]:
    """Segment many images: while one is computed, the next is read and the last one is written.

    An image that fails does not stop the others. Whenever the run is cut off, each result is there whole or not at
    all.

    With a journal, the folder of the results says what each was made of: bundle, settings, source files (by name, size
    and time of change), version of Vesalius. ``resume`` then skips results that are there, unchanged since, and made of
    the same; all others are made anew, as without it. A result that was changed since it was written is an error: it
    may hold somebody's corrections.

    Device and memory do not count: they change the last digits of logits, not what is computed.

    Args:
        jobs: All with the same bundle, members, device and backend; with a journal, their results go to one folder.
        bundle: That of the jobs.
        journal: Whether to keep one, `vesalius.predict.journal.NAME` in the folder of the results.
        resume: Skip what the journal says is done.
        cluster: As for `vesalius.jobs.run_jobs`, which then does the jobs side by side.
        progress: Called with the share that is done, as (done, total).

    Yields:
        The outcomes: first those of results that are there already, then the others; without a cluster in their order.

    Raises:
        DataError: ``resume`` without a journal.
        VesaliusError: The bundle cannot be used as the jobs say, the journal cannot be kept, or the cluster cannot be
            reached.
    """
    if resume and not journal:
        raise DataError("resume goes on by a journal: give journal=True, too")
    origins = _origins(jobs, bundle) if journal else None
    known = _done_before(jobs, origins) if resume and origins is not None else {}
    yield from known.values()
    left = [number for number in range(len(jobs)) if number not in known]
    if not left:
        return
    todo = [jobs[number] for number in left]
    notes = None if origins is None else _Notes(todo[0].target.parent, [origins[n] for n in left])
    outcomes = _here(todo, bundle, notes, progress) if cluster is None else _elsewhere(todo, cluster, notes, progress)
    for outcome in outcomes:
        yield replace(outcome, number=left[outcome.number])


# --- one image --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Loaded:
    image: Volume
    origin: Origin | None  # of a result that is to be DICOM
    reading_s: float


@dataclass(frozen=True)
class _Made:
    prediction: Prediction
    outer: Mapping[str, LabelMap]
    calibrated: bool
    name: str
    outputs: tuple[str, ...]
    origin: Origin | None
    backend: str
    reading_s: float
    computing_s: float


def _read(job: FileJob) -> _Loaded:
    began = perf_counter()
    image = read(job.images[0], series=job.series) if len(job.images) == 1 else read_channels(job.images)
    return _Loaded(image, source_of(job.target, job.images, job.series), perf_counter() - began)


def _compute(job: FileJob, loaded: _Loaded, segmenter: Segmenter, progress: Callable[[int, int], None] | None) -> _Made:
    began, counted = perf_counter(), segmenter.afresh()
    check_slicing(job.slicing, loaded.image, segmenter.bundle.plan)
    try:
        look = partial(
            segment,
            bundle=counted,
            channels=job.channels,
            mirror=job.mirror,
            overlap=job.overlap,
            postprocess=job.postprocess,
            probabilities=job.probabilities or bool(job.outer),
            memory_gib=job.memory_gib,
            focus=job.focus,
        )
        sliced = look if job.slicing is None else partial(segment_slices, see=look, slicing=job.slicing)
        prediction = sliced(loaded.image, progress=progress)
    except MemoryError:
        raise VesaliusError("there is not enough memory for this image; try a smaller --memory") from None
    engines = sorted(counted.engines, key=lambda name: -counted.engines[name])
    plan = segmenter.bundle.plan
    outputs = (*(() if plan.regions else ("background",)), *(output.name for output in plan.outputs))
    took = perf_counter() - began
    return _Made(
        prediction,
        outer_regions(prediction, plan, job.outer) if job.outer else {},
        loaded.image.meta.calibrated if job.slicing else plan.calibrated,
        segmenter.bundle.card.name,
        outputs,
        loaded.origin,
        ", ".join(engines),
        loaded.reading_s,
        took,
    )


def _write(job: FileJob, made: _Made) -> FileResult:
    began = perf_counter()
    folder, found = make_folder(job.target.parent), made.prediction
    written = [job.target]
    if job.probabilities and found.probabilities is not None:
        written.append(write_probabilities(found.probabilities, job.target, made.origin, made.outputs))
    outer = outer_paths(job.target, made.outer)
    for name, path in outer.items():
        write_labels(made.outer[name], path, made.origin, f"{made.name} outer region")
    write_labels(found.labels, job.target, made.origin, made.name)
    sha256 = {path.name: sha256_of(folder / path.name) for path in (*written, *outer.values())}
    voxels, volume_ml = _sizes(found.labels, calibrated=made.calibrated)
    work = Work(made.backend, made.reading_s, made.computing_s, perf_counter() - began)
    return FileResult(job.target, voxels, volume_ml, sha256, work, outer)


def _sizes(found: LabelMap, *, calibrated: bool) -> tuple[dict[str, int], dict[str, float] | None]:
    counts = found.counts()
    voxels = {label.name: counts.get(label.value, 0) for label in found.labels.labels}
    if not calibrated or found.grid.ndim != 3:
        return voxels, None
    each_ml = found.grid.voxel_volume_mm3 / 1000
    return voxels, {name: round(count * each_ml, 4) for name, count in voxels.items()}


@lru_cache(maxsize=1)
def _kept(
    bundle: str,
    written: int,  # noqa: ARG001
    device: str,
    members: tuple[int, ...] | None,
    backend: str,
) -> Segmenter:
    """The segmenter of the job before, unless the bundle was written anew."""
    return load_segmenter(bundle, device=device, members=members, backend=backend)


def _written(bundle: str) -> int:
    """When a bundle was written, ns; 0 for one that is built in."""
    place = Path(bundle)
    if not place.exists() and bundle in built_in():
        return 0
    description = place / "bundle.json" if place.is_dir() else place
    return description.stat().st_mtime_ns if description.exists() else 0


# --- many images ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Notes:
    """The journal of a run: its folder, and the origin of each job's result."""

    folder: Path
    origins: Sequence[str]

    def begin(self, number: int, job: FileJob) -> None:
        """A result that stands there is about to be replaced: from now on it counts as not done."""
        if job.target.exists():
            note(self.folder, Entry(job.target.name, self.origins[number]))

    def end(self, number: int, result: FileResult) -> None:
        origin, name = self.origins[number], result.target.name
        note(self.folder, Entry(name, origin, result.sha256, result.voxels, result.volume_ml))


def _here(
    jobs: Sequence[FileJob], bundle: Bundle, notes: _Notes | None, progress: Callable[[int, int], None] | None
) -> Iterator[Outcome[FileResult]]:
    """One after the other, reading and writing beside."""
    first = jobs[0]
    segmenter = load_segmenter(
        bundle, device=first.device, members=first.members, backend=first.backend, folder=first.bundle
    )

    def compute(number: int, loaded: _Loaded) -> _Made:
        def tell(done: int, total: int) -> None:
            if progress is not None:
                progress(number * total + done, len(jobs) * total)

        return _compute(jobs[number], loaded, segmenter, tell)

    def put(number: int, made: _Made) -> FileResult:
        if notes is not None:
            notes.begin(number, jobs[number])
        result = _write(jobs[number], made)
        if notes is not None:
            notes.end(number, result)
        return result

    # What the next image takes is known when it is read: a promise about memory leaves no room for it beside this one.
    ahead = all(job.memory_gib is None for job in jobs)
    places = range(len(jobs))
    yield from overlapped(places, read=lambda number: _read(jobs[number]), compute=compute, write=put, ahead=ahead)


def _elsewhere(
    jobs: Sequence[FileJob], cluster: str, notes: _Notes | None, progress: Callable[[int, int], None] | None
) -> Iterator[Outcome[FileResult]]:
    """Side by side on a cluster. This process keeps the journal: lines of many machines would mix in one file."""

    def begun() -> Iterator[FileJob]:
        for number, job in enumerate(jobs):
            if notes is not None:
                notes.begin(number, job)
            yield job

    with joined(cluster):
        share = share_of(cluster, len(jobs), device=jobs[0].device)
        for done, outcome in enumerate(run_jobs(segment_file, begun(), cluster=cluster, share=share), start=1):
            if notes is not None and outcome.result is not None:
                notes.end(outcome.number, outcome.result)
            if progress is not None:
                progress(done, len(jobs))
            yield outcome


def _done_before(jobs: Sequence[FileJob], origins: Sequence[str]) -> dict[int, Outcome[FileResult]]:
    """The outcomes of jobs that are not to be done: their results are there already, or must not be replaced."""
    entries = read_journal(jobs[0].target.parent) if jobs else {}
    found: dict[int, Outcome[FileResult]] = {}
    for number, (job, origin) in enumerate(zip(jobs, origins, strict=True)):
        folder, name = job.target.parent, job.target.name
        entry = entries.get(name)
        if entry is None or not entry.done:
            continue
        if changed := entry.changed(folder):
            words = f"{changed[0]} was changed since it was segmented: move it away, or do not resume, to replace it"
            found[number] = Outcome(number, error=DataError(words))
        elif entry.origin == origin and entry.is_whole(folder):
            outer = outer_paths(job.target, job.outer or ())
            result = FileResult(job.target, entry.voxels, entry.volume_ml, entry.sha256, None, outer)
            found[number] = Outcome(number, result)
    return found


def _origins(jobs: Sequence[FileJob], bundle: Bundle) -> list[str]:
    """For each job a checksum of all that decides what its result is."""
    made_by = bundle_digest(bundle)
    if jobs and (exported := Path(jobs[0].backend) / "vesalius.json").is_file():  # a folder's contents, not its place
        made_by += sha256_of(exported)
    told = [{name: value for name, value in asdict(job).items() if name not in _NO_SETTING} for job in jobs]
    return [origin_of(job.images, made_by, settings) for job, settings in zip(jobs, told, strict=True)]
