"""How many augmented patches a second come out of a data path, with Vesalius, nnU-Net's libraries and TorchIO.

    python benchmarks/loader.py ../shared/data/msd_hippocampus
    pip install batchgeneratorsv2 torchio    # the peers, optional

Two sets: the folder named, in batches of 8 patches of 40 x 56 x 40, and 4 drawn volumes of 256 x 256 x 160 in batches
of 2 patches of 128 x 128 x 128. All start from the same prepared arrays and augment by nnU-Net's list with the same
chances and ranges. Nothing trains: a loader has the cores to itself, which is the most that it can give.

- vesalius: `Loader` and `finish`, compressed cases. "threads" reads ahead in as many threads as there are cores,
  "inline" in none, as `fit` does on a processor. Small cases are kept in memory, as in `fit`; "from disk" keeps none.
- batchgeneratorsv2: nnU-Net's way. blosc2 files with its chunks, blocks and level of compression are opened for
  each patch; a third of the patches is centred on a labelled voxel; its transforms work element by element. In
  worker processes (batchgenerators' NonDetMultiThreadedAugmenter, as nnU-Net), one thread each, or inline. It is given
  the window that Vesalius reads, which is smaller than nnU-Net's.
- torchio: a Queue over whole volumes, uncompressed, augmented as a whole; as many patches of each are used as cover it.
  Brightness and contrast are written for it here.

Each contender runs in a process of its own, in turn, --rounds times. Printed are the medians: patches per second of
wall time, processor milliseconds (all processes) per patch, and Vesalius' default over each. Where other work shares
the machine, trust the processor time.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from augment_speed import nnunet_chain

from vesalius.augment import Augmentation, source_size
from vesalius.image import Case, Dataset, Grid, LabelMap, Labels, Meta, Record, Volume
from vesalius.io.layouts import index
from vesalius.plan import Budget, Plan, fingerprint, make_plan, plan_from_json, plan_to_json, with_settings

DRAWN = "drawn"
PATCHES = {DRAWN: ((128, 128, 128), 2)}
OTHERWISE = ((40, 56, 40), 8)
_PATIENCE = 120.0  # seconds, to start and to open the cases
_L1, _L3 = 0.8 * 32 * 1024, 0.8 * 1441792  # bytes (Source: nnU-Net, ``nnUNetDatasetBlosc2.comp_blosc2_params``)


@dataclass(frozen=True)
class Set:
    """Prepared cases, as every contender finds them.

    Args:
        source: The folder of a data set, or ``"drawn"``.
        folder: Where the prepared cases are.
        cores: That may be used.
    """

    source: str
    folder: Path
    cores: int

    @property
    def dataset(self) -> Dataset:
        """The cases."""
        return drawn_dataset() if self.source == DRAWN else index(Path(self.source))

    @property
    def plan(self) -> Plan:
        """What is done to them."""
        return plan_from_json((self.folder / "plan.json").read_bytes())


def drawn_dataset() -> Dataset:
    """Four volumes with a ball in smooth shades and noise."""

    def load(record: Record, dataset: Dataset) -> Case:
        random = np.random.default_rng(int(record.id))
        grid = Grid.from_spacing((256, 256, 160), (1.0, 1.0, 1.0))
        axes = np.ogrid[-1:1:256j, -1:1:256j, -1:1:160j]
        distance = sum((a - c) ** 2 for a, c in zip(axes, random.uniform(-0.3, 0.3, 3), strict=True)) ** 0.5
        image = np.cos(6 * distance) + 0.2 * random.standard_normal(grid.shape, dtype=np.float32)
        classes = (distance < 0.4).astype(np.uint8)
        volume = Volume(image[None].astype(np.float32), grid, Meta(modality="MR", calibrated=True))
        assert dataset.labels is not None
        return Case(record.id, volume, LabelMap(classes, grid, dataset.labels), record.id)

    records = tuple(Record(str(n), (), reference=Path("drawn"), patient=str(n)) for n in range(4))
    return Dataset(records, Labels.of({"ball": 1}), ("T1",), load=load)


def prepare_set(each: Set) -> None:
    """Prepare the cases once, and write them in the forms that the peers read."""
    from vesalius.train.cache import build_cache

    patch, batch = PATCHES.get(each.source, OTHERWISE)
    dataset = each.dataset
    plan = make_plan(fingerprint(dataset), Budget(steps=1), step_seconds=lambda *_: 0.01)
    sizes = [f"patch_size={','.join(map(str, patch))}", f"batch_size={batch}"]
    plan = replace(with_settings(plan, sizes), augmentation=Augmentation.for_patch(patch))
    (each.folder / "plan.json").write_text(plan_to_json(plan))
    for number, case in enumerate(build_cache(dataset, plan, each.folder / "cases")):
        image, classes = np.asarray(case.image), np.asarray(case.classes)
        if has("blosc2") and has("batchgeneratorsv2"):
            write_blosc2(each.folder / f"{number}-image.b2nd", image, plan.patch_size)
            write_blosc2(each.folder / f"{number}-classes.b2nd", classes[None], plan.patch_size)
            np.save(each.folder / f"{number}-places.npy", some_places(classes))
        if has("torchio"):
            write_nifti(each.folder / f"{number}-image.nii", image[0], plan.patch_size)
            write_nifti(each.folder / f"{number}-classes.nii", classes, plan.patch_size)


def some_places(classes: np.ndarray) -> np.ndarray:
    """At most 10,000 labelled voxels."""
    places = np.argwhere(classes > 0)
    return places[:: max(1, len(places) // 10_000)]


def write_blosc2(path: Path, array: np.ndarray, patch: tuple[int, ...]) -> None:
    """As nnU-Net does: blocks that fit the first cache of a core, chunks that fit its share of the last."""
    import blosc2

    block = [1, *(min(2 ** (p - 1).bit_length(), n) for p, n in zip(patch, array.shape[1:], strict=True))]
    while np.prod(block) * array.itemsize > _L1:
        longest = max(range(1, len(block)), key=lambda axis: block[axis] / array.shape[axis])
        block[longest] = max(1, block[longest] // 2)
    chunk = list(block)
    while np.prod(chunk) * array.itemsize < _L3 and any(c < n for c, n in zip(chunk, array.shape, strict=True)):
        shortest = min(range(len(chunk)), key=lambda axis: chunk[axis] / array.shape[axis])
        chunk[shortest] = min(array.shape[shortest], chunk[shortest] + block[shortest])
    how = {"codec": blosc2.Codec.ZSTD, "clevel": 8}
    blosc2.asarray(
        np.ascontiguousarray(array), urlpath=str(path), chunks=tuple(chunk), blocks=tuple(block), cparams=how, mode="w"
    )


def write_nifti(path: Path, array: np.ndarray, patch: tuple[int, ...]) -> None:
    """Uncompressed, at least as large as a patch."""
    import nibabel

    short = [max(0, p - n) for p, n in zip(patch, array.shape, strict=True)]
    padded = np.pad(array, [(s // 2, s - s // 2) for s in short])
    nibabel.Nifti1Image(padded, np.eye(4)).to_filename(path)


def vesalius(each: Set, *, workers: int, memory_gib: float) -> Iterator[int]:
    """Batches, as `fit` makes them."""
    from vesalius.train.batches import finish
    from vesalius.train.cache import build_cache
    from vesalius.train.loader import Loader

    torch.set_num_threads(each.cores)
    plan = each.plan
    cases = build_cache(each.dataset, plan, each.folder / "cases", memory_gib=memory_gib)
    with Loader(cases, plan, seed=0, workers=workers) as loader:
        for step, raw in enumerate(loader):
            images, _ = finish(raw, plan, seed=0, step=step, device=torch.device("cpu"))
            yield len(images)


def nnunet(each: Set, *, workers: int) -> Iterator[int]:
    """Batches by batchgenerators and batchgeneratorsv2."""
    import blosc2
    from batchgenerators.dataloading.data_loader import DataLoader
    from batchgenerators.dataloading.nondet_multi_threaded_augmenter import NonDetMultiThreadedAugmenter

    plan = each.plan
    blosc2.set_nthreads(1)
    window = np.asarray(source_size(plan.augmentation, plan.patch_size))
    patch = np.asarray(plan.patch_size)
    chain = nnunet_chain(plan.augmentation, plan.patch_size)
    many = len(list(each.folder.glob("*-image.b2nd")))
    places = [np.load(each.folder / f"{number}-places.npy") for number in range(many)]

    class Patches(DataLoader):  # type: ignore[misc]
        """One random batch after the other."""

        random: np.random.Generator

        def set_thread_id(self, thread_id: int) -> None:
            super().set_thread_id(thread_id)
            self.random = np.random.default_rng(thread_id)

        def generate_train_batch(self) -> dict[str, torch.Tensor]:
            drawn = [self.one() for _ in range(plan.batch_size)]
            return {key: torch.stack([d[key] for d in drawn]) for key in ("image", "segmentation")}

        def one(self) -> dict[str, torch.Tensor]:
            number = int(self.random.integers(many))
            image, classes = (
                blosc2.open(str(each.folder / f"{number}-{part}.b2nd"), mode="r", mmap_mode="r")
                for part in ("image", "classes")
            )
            shape = np.asarray(image.shape[1:])
            if self.random.random() < plan.foreground_fraction and len(places[number]):
                centre = places[number][self.random.integers(len(places[number]))]
                start = np.clip(centre - patch // 2, np.minimum(0, shape - patch), np.maximum(0, shape - patch))
            else:
                start = self.random.integers(np.minimum(0, shape - patch), np.maximum(0, shape - patch) + 1)
            start = start - (window - patch) // 2
            low, high = np.maximum(start, 0), np.minimum(start + window, shape)
            inside = (slice(None), *map(slice, low, high))
            fill = [(0, 0), *zip(low - start, start + window - high, strict=True)]
            pixels = torch.from_numpy(np.pad(image[inside], fill)).float()
            labels = torch.from_numpy(np.pad(classes[inside], fill, constant_values=-1)).to(torch.int16)
            found: dict[str, torch.Tensor] = chain(image=pixels, segmentation=labels)
            return found

    batches = Patches(list(range(many)), plan.batch_size, 1, None, False, infinite=True)
    if workers:
        batches = NonDetMultiThreadedAugmenter(batches, None, workers, max(6, workers // 2))
    else:
        batches.set_thread_id(0)
        torch.set_num_threads(each.cores)
    for batch in batches:
        yield len(batch["image"])


def brighten(low_high: tuple[float, float], x: torch.Tensor) -> torch.Tensor:
    """Multiply."""
    return x * float(torch.empty(()).uniform_(*low_high))


def stretch(low_high: tuple[float, float], x: torch.Tensor) -> torch.Tensor:
    """Multiply about the mean, within the old range."""
    middle = x.mean()
    return ((x - middle) * float(torch.empty(()).uniform_(*low_high)) + middle).clamp(x.min(), x.max())


def torchio(each: Set, *, workers: int) -> Iterator[int]:
    """Batches by TorchIO's queue."""
    import torchio as tio

    plan = each.plan
    spec, patch = plan.augmentation, plan.patch_size
    torch.set_num_threads(each.cores)
    paths = sorted(each.folder.glob("*-image.nii"), key=lambda path: int(path.name.partition("-")[0]))
    subjects = [
        tio.Subject(
            image=tio.ScalarImage(path), classes=tio.LabelMap(path.with_name(path.name.replace("image", "classes")))
        )
        for path in paths
    ]

    logs = tuple(float(np.log(g)) for g in spec.gamma)
    coarser = (1 / spec.low_resolution[1], 1 / spec.low_resolution[0])
    turn = tuple(d for low_high in spec.rotation_degrees for d in low_high)
    transform = tio.Compose(
        [
            tio.RandomAffine(scales=0, degrees=turn, p=spec.rotation_p, default_pad_value=0),
            tio.RandomAffine(
                scales=tuple(1 / s for s in reversed(spec.scale)),
                degrees=0,
                isotropic=True,
                p=spec.scale_p,
                default_pad_value=0,
            ),
            tio.RandomNoise(std=spec.noise_std, p=spec.noise_p),
            tio.RandomBlur(std=spec.blur_sigma, p=spec.blur_p * spec.blur_channel_p),
            tio.Lambda(partial(brighten, spec.brightness), types_to_apply=[tio.INTENSITY], p=spec.brightness_p),
            tio.Lambda(partial(stretch, spec.contrast), types_to_apply=[tio.INTENSITY], p=spec.contrast_p),
            tio.RandomAnisotropy(downsampling=coarser, p=spec.low_resolution_p * spec.low_resolution_channel_p),
            tio.RandomGamma(log_gamma=logs, p=spec.inverted_gamma_p),
            tio.RandomGamma(log_gamma=logs, p=spec.gamma_p),
            tio.RandomFlip(axes=spec.mirror_axes, flip_probability=spec.mirror_p),
        ]
    )
    each_volume = max(1, round(float(np.prod(subjects[0].spatial_shape) / np.prod(patch))))
    queue = tio.Queue(
        tio.SubjectsDataset(subjects, transform=transform),
        max_length=max(plan.batch_size, 2 * each_volume),
        samples_per_volume=each_volume,
        sampler=tio.UniformSampler(patch),
        num_workers=workers,
    )
    while True:
        for batch in tio.SubjectsLoader(queue, batch_size=plan.batch_size, num_workers=0):
            yield len(batch["image"][tio.DATA])


def contenders(cores: int) -> dict[str, tuple[str, Callable[[Set], Iterator[int]]]]:
    """By name: the package that is needed, and its batches' sizes without end."""
    return {
        "vesalius, inline": ("vesalius", lambda each: vesalius(each, workers=0, memory_gib=1.0)),
        "vesalius, threads": ("vesalius", lambda each: vesalius(each, workers=cores, memory_gib=1.0)),
        "vesalius, threads, from disk": ("vesalius", lambda each: vesalius(each, workers=cores, memory_gib=0.0)),
        "batchgeneratorsv2, inline": ("batchgeneratorsv2", lambda each: nnunet(each, workers=0)),
        "batchgeneratorsv2, processes": ("batchgeneratorsv2", lambda each: nnunet(each, workers=cores)),
        "torchio, inline": ("torchio", lambda each: torchio(each, workers=0)),
        "torchio, processes": ("torchio", lambda each: torchio(each, workers=cores)),
    }


def has(package: str) -> bool:
    """Whether it is installed."""
    return importlib.util.find_spec(package) is not None


def processor_seconds() -> float:
    """Of this process and all its children, also those that have ended."""
    here = psutil.Process()
    own = here.cpu_times()
    living = [child.cpu_times() for child in here.children(recursive=True)]
    return sum(own[:4]) + sum(t.user + t.system for t in living)


def measure(name: str, each: Set, seconds: float, answer: Any) -> None:
    """Run one contender in this process; the first batches, with what was read ahead, do not count."""
    multiprocessing.set_start_method("fork", force=True)  # of the peers' workers, as is usual on Linux
    try:
        batches = contenders(each.cores)[name][1](each)
        start = time.perf_counter()
        for _ in itertools.takewhile(lambda _: time.perf_counter() - start < seconds / 3, batches):
            pass
        wall, processor, patches = time.perf_counter(), processor_seconds(), 0
        while time.perf_counter() - wall < seconds:
            patches += next(batches)
        wall, processor = time.perf_counter() - wall, processor_seconds() - processor
        answer.send({"rate": patches / wall, "ms": 1e3 * processor / patches})
    except Exception as error:
        answer.send({"failed": f"{type(error).__name__}: {error}"})
    time.sleep(3600)  # it is ended from outside, with the workers that it started


def answer_of(pipe: Any, seconds: float) -> dict[str, Any]:
    """What a contender has found out, or that it did not answer."""
    try:
        found: dict[str, Any] = pipe.recv() if pipe.poll(seconds) else {"failed": f"no answer in {seconds:.0f} s"}
    except EOFError:
        return {"failed": "it died"}
    return found


def compare(each: Set, *, rounds: int, seconds: float, only: str) -> None:
    """Let the contenders take turns, and print a table."""
    spawn = multiprocessing.get_context("spawn")
    found: dict[str, list[dict[str, Any]]] = {}
    for _ in range(rounds):
        for name, (package, _) in contenders(each.cores).items():
            if only not in name:
                continue
            if not has(package):
                found[name] = [{"failed": "not installed"}]
                continue
            here, there = spawn.Pipe(duplex=False)
            process = spawn.Process(target=measure, args=(name, each, seconds, there))
            process.start()
            there.close()
            found.setdefault(name, []).append(answer_of(here, _PATIENCE + 10 * seconds))
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
            process.join()
    first = "vesalius, inline"
    middle = {
        name: {key: statistics.median(run[key] for run in runs) for key in ("rate", "ms")}
        for name, runs in found.items()
        if all("rate" in run for run in runs)
    }
    print(f"{'':30} {'patches/s':>10} {'x':>6} {'CPU ms/patch':>13} {'x':>6}")
    for name, runs in found.items():
        if name not in middle:
            print(f"{name:30} {next(run['failed'] for run in runs if 'failed' in run)}")
            continue
        mine, base = middle[name], middle.get(first)
        ratios = [f"{base['rate'] / mine['rate']:6.1f}", f"{mine['ms'] / base['ms']:6.1f}"] if base else [" " * 6] * 2
        print(f"{name:30} {mine['rate']:10.1f} {ratios[0]} {mine['ms']:13.1f} {ratios[1]}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="a data set of small 3D cases; left out: only the drawn volumes")
    parser.add_argument("--seconds", type=float, default=6.0, help="that each contender is measured in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cores", type=int, default=2, help="threads and worker processes")
    parser.add_argument("--only", default="", help="a part of the contenders' names")
    chosen = parser.parse_args()
    for source in [*([chosen.folder] if chosen.folder else []), DRAWN]:
        with tempfile.TemporaryDirectory() as folder:
            each = Set(source, Path(folder), chosen.cores)
            prepare_set(each)
            plan = each.plan
            patch = " x ".join(map(str, plan.patch_size))
            cases = f"{len(each.dataset)} cases, batches of {plan.batch_size} x {patch}"
            print(f"\n{Path(source).name}: {cases}, {chosen.cores} core(s), medians of {chosen.rounds} rounds")
            compare(each, rounds=chosen.rounds, seconds=chosen.seconds, only=chosen.only)


if __name__ == "__main__":
    main()
