"""Draw the gallery of the methods without training: each by the command line, on a real picture and a real volume.

    python scripts/gallery.py ../shared/data -o docs/gallery

Writes NAME.png for every method of `vesalius classical`, and the page docs/gallery/index.md with the commands. The
picture shows nuclei (Data Science Bowl 2018, CC0), the volume a spleen (Medical Segmentation Decathlon, CC BY-SA 4.0),
cut to soft tissue and 1.6 mm by `vesalius preprocess`; atlases are shown on a hippocampus (the same, Task04). With
--check nothing is drawn: each method must run on both and write a label map with something in it on the input's grid.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vesalius.classical import GROUPS, METHODS
from vesalius.cli import main as vesalius
from vesalius.image import LabelMap, Volume
from vesalius.io import read, read_labels
from vesalius.io.atomic import make_folder, write_text

PICTURE = "dsb2018_nuclei/images/2f929b067a59f88530b6bfa6f6889bc3a38adf88d594895973d1c8b2549fd93d.png"
VOLUME = "msd_spleen_crop/ct.nii.gz"
ORGANS = {"lung-fields": "totalsegmentator_samples/ct.nii.gz"}  # methods for one organ, which neither image shows
PREPARED = ("window centre=75 width=250", "isotropic spacing_mm=2.5")

NUCLEI, SPLEEN = "--seeds nuclei.json", "--seeds spleen.json"
NUCLEUS, INSIDE = "--seeds 'nucleus=112,116'", "--seeds 'spleen=25,20,26'"
AROUND = "--centre-mm 112,116 --radius-mm 14"
START, ROUGH = "--seeds start.json", "--seeds rough.json"

# What a person marks, in indices: see `vesalius.classical.read_seeds`.
SEEDS: dict[str, list[dict[str, Any]]] = {
    "nuclei": [
        {"name": "nuclei", "points": [[112, 116], [57, 185], [230, 194], [150, 56]], "radius_mm": 3},
        {"name": "background", "points": [[140, 30], [60, 240], [215, 150], [10, 30], [170, 200]], "radius_mm": 3},
        {"name": "background", "points": [[245, 70], [88, 130], [135, 105]], "radius_mm": 3},
        {"name": "background", "points": [[160, 80], [40, 205], [215, 180], [240, 215], [78, 175]], "radius_mm": 2},
    ],
    "spleen": [
        {"name": "spleen", "points": [[25, 20, 26], [14, 32, 26]], "radius_mm": 8},
        {"name": "background", "points": [[5, 5, 26], [45, 48, 26], [20, 46, 26], [48, 12, 26]], "radius_mm": 3},
        {"name": "background", "points": [[36, 40, 26], [8, 22, 26], [20, 12, 26]], "radius_mm": 3},
    ],
    "start": [{"name": "spleen", "points": [[25, 20, 26]], "radius_mm": 20}],
    "rough": [{"name": "spleen", "line": [[14, 34, 26], [20, 26, 26], [28, 18, 26], [36, 18, 26]], "radius_mm": 22}],
}

# Options for the picture and for the volume.
EXAMPLES: dict[str, tuple[str, ...]] = {
    "threshold": ("--above 25", "--above 0.4 --below 0.7"),
    "otsu": ("", ""),
    "multi-otsu": ("--classes 3", "--classes 3"),
    "li": ("", ""),
    "triangle": ("", ""),
    "yen": ("", ""),
    "isodata": ("", ""),
    "entropy": ("", ""),
    "hysteresis": ("--low 20 --high 50", "--low 0.4 --high 0.8"),
    "niblack": ("--window-mm 41", "--window-mm 61"),
    "sauvola": ("--window-mm 41", "--window-mm 61"),
    "phansalkar": ("--window-mm 41", "--window-mm 61"),
    "adaptive-mean": ("--window-mm 41 --offset -4", "--window-mm 61"),
    "adaptive-gaussian": ("--sigma-mm 12 --offset -4", "--sigma-mm 20"),
    "connected-threshold": (f"{NUCLEUS} --low 25", f"{INSIDE} --low 0.42 --high 0.72"),
    "neighbourhood-connected": (f"{NUCLEUS} --radius-mm 1 --low 22", f"{INSIDE} --radius-mm 2.5 --low 0.4 --high 0.75"),
    "confidence-connected": (
        f"{NUCLEUS} --radius-mm 5 --multiplier 2 --iterations 1",
        f"{INSIDE} --radius-mm 8 --iterations 2",
    ),
    "region-competition": (NUCLEI, SPLEEN),
    "split-and-merge": ("--spread 8", "--spread 0.15"),
    "watershed": (NUCLEI, SPLEEN),
    "slic": ("--size-mm 16", "--size-mm 20"),
    "random-walker": (f"{NUCLEI} --beta 3000", f"{SPLEEN} --beta 3000"),
    "graph-cut": (NUCLEI, SPLEEN),
    "sobel": ("--sigma-mm 1.5", "--sigma-mm 2.5"),
    "prewitt": ("--sigma-mm 1.5", "--sigma-mm 2.5"),
    "canny": ("--sigma-mm 2", "--sigma-mm 2.5"),
    "laplacian-of-gaussian": ("--sigma-mm 3 --least-slope 1", "--sigma-mm 4 --least-slope 0.02"),
    "snake": (AROUND, f"{START} --balloon 0.05"),
    "gradient-vector-flow": (AROUND, ROUGH),
    "morphological-geodesic": (f"{AROUND} --balloon -1", ROUGH),
    "morphological-chan-vese": ("--centre-mm 112,116 --radius-mm 60", START),
    "chan-vese": ("", ""),
    "threshold-level-set": (f"{AROUND} --above 25", f"{START} --above 0.42 --below 0.75"),
    "geodesic-level-set": (f"{AROUND} --propagation 0.01 --sigma-mm 2", f"{ROUGH} --propagation 0.01 --sigma-mm 2.5"),
    "laplacian-level-set": (AROUND, f"{ROUGH} --sigma-mm 3"),
    "fast-marching": (f"{NUCLEUS} --reach-mm 20 --edge-slope 8", f"{INSIDE} --reach-mm 60"),
    "livewire": (
        "--points 100,116,112,104,124,116,112,128 --unit index",
        "--points 25,9,26,44,30,26,12,46,26 --unit index",
    ),
    "kmeans": ("", ""),
    "fuzzy-c-means": ("", ""),
    "mean-shift": ("", ""),
    "dbscan": ("--radius 0.02 --least-voxels 200", "--radius 0.01 --least-voxels 100"),
    "gaussian-mixture": ("", "--background 0"),
    "mixture-mrf": ("", ""),
    "lung-fields": ("",),
}

# Atlases are images of one kind: a hippocampus, with one atlas that is scaled and with five that are bent.
HIPPOCAMPI = "msd_hippocampus"
TARGET, ATLASES = "017", ("001", "006", "019", "034", "042")
ATLAS_EXAMPLES = (
    "--atlas atlas-1.nii.gz atlas-1-labels.nii.gz --kind affine",
    " ".join(f"--atlas atlas-{n}.nii.gz atlas-{n}-labels.nii.gz" for n in range(1, 6)),
)

_SIDE = 240  # pixels
_COLOURS = 64


def prepare(data: Path, work: Path) -> tuple[Path, Path]:
    """The picture and the volume that the methods see."""
    picture, volume = work / "nuclei.png", work / "spleen.nii.gz"
    shutil.copyfile(data / PICTURE, picture)
    steps = [word for step in PREPARED for word in ("--step", step)]
    run(["preprocess", str(data / VOLUME), "-o", str(volume), *steps])
    for name in SEEDS:
        write_text(work / f"{name}.json", seeds_text(name))
    return picture, volume


def prepare_atlases(data: Path, work: Path) -> Path:
    """The target that the atlases are carried to; they lie beside it."""
    folder = data / HIPPOCAMPI
    for number, case in enumerate(ATLASES, start=1):
        shutil.copyfile(folder / "images" / f"hippocampus_{case}.nii.gz", work / f"atlas-{number}.nii.gz")
        shutil.copyfile(folder / "labels" / f"hippocampus_{case}.nii.gz", work / f"atlas-{number}-labels.nii.gz")
    shutil.copyfile(folder / "images" / f"hippocampus_{TARGET}.nii.gz", work / "hippocampus.nii.gz")
    return work / "hippocampus.nii.gz"


def seen_by(method: str, images: tuple[Path, Path], data: Path) -> tuple[Path, ...]:
    """The images that a method is shown on."""
    return (data / ORGANS[method],) if method in ORGANS else images


def run(arguments: list[str]) -> None:
    """Run a command; what it says is shown if it fails."""
    said, complained = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
        code = vesalius(arguments)
    if code:
        raise SystemExit(f"vesalius {shlex.join(arguments)}\n{said.getvalue()}{complained.getvalue()}")


def found_by(method: str, image: Path, options: str, work: Path) -> tuple[Volume, LabelMap]:
    """What a method finds in an image, on its grid."""
    output = work / f"{method}{'.png' if image.suffix == '.png' else '.nii.gz'}"
    chosen = [str(work / word) if word.endswith((".json", ".nii.gz")) else word for word in shlex.split(options)]
    channel = ["--channel", "luminance"] if image.suffix == ".png" else []
    run(["classical", method, str(image), "-o", str(output), *channel, *chosen])
    volume, labels = read(image), read_labels(output)
    if not labels.grid.is_close(volume.grid, tolerance_mm=1e-3):
        raise SystemExit(f"{method}: the label map lies on another grid than {image.name}")
    if not labels.array.any():
        raise SystemExit(f"{method}: nothing was found in {image.name}")
    return volume, labels


def panel(volume: Volume, labels: LabelMap) -> NDArray[np.uint8]:
    """A picture, or the slice in the middle of a volume (where it shows no label, that of most), in colour."""
    grey, marked = volume.array[0].astype(float), labels.array
    if grey.ndim == 3:
        level = marked.shape[2] // 2
        if not marked[:, :, level].any():
            level = int((marked > 0).sum(axis=(0, 1)).argmax())
        grey, marked = grey[:, :, level], marked[:, :, level]
    low, high = np.percentile(grey, (1, 99.8))
    shade = np.clip((grey - low) / max(high - low, 1e-6), 0, 1) ** 0.7 * 255
    rgb = np.repeat(shade[..., None], 3, axis=-1)
    many = len(labels.labels.values) > 12
    for value in np.unique(marked[marked > 0]).tolist():
        colour = np.random.default_rng(value).integers(60, 255, 3) if many else labels.labels.colour(value)
        where = marked == value
        rgb[where] = 0.5 * rgb[where] + 0.5 * np.asarray(colour)
    image = Image.fromarray(rgb.transpose(1, 0, 2).astype(np.uint8))
    if volume.grid.ndim == 3:  # NIfTI's axes are kept: turn the patient upright
        codes = volume.grid.axis_codes
        if codes[0] == "R":
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if codes[1] == "A":
            image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    scale = _SIDE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    canvas = Image.new("RGB", (_SIDE, _SIDE))
    canvas.paste(image.resize(size, Image.Resampling.NEAREST))
    return np.asarray(canvas)


def page(commands: dict[str, tuple[str, ...]]) -> str:
    """The page: families, methods, commands, pictures."""
    lines = [
        "# Gallery of methods without training",
        "",
        "Each method of `vesalius classical` on nuclei in fluorescence microscopy (left) and on a CT of the spleen",
        "(right, the slice in the middle), by the commands beneath. Made by `python scripts/gallery.py`; the volume by",
        f"`vesalius preprocess ct.nii.gz -o spleen.nii.gz {' '.join(f'--step {shlex.quote(s)}' for s in PREPARED)}`.",
        "They show what a method does, with settings that took a minute: no more. Which to take when:",
        "[Segment without training](../how-to/segment-without-training.md).",
        "",
        "Images: Data Science Bowl 2018 (CC0); Medical Segmentation Decathlon, Task04 and Task09 (CC BY-SA 4.0);",
        "of the lungs TotalSegmentator (Apache-2.0).",
    ]
    for title, modules in GROUPS.items():
        lines += ["", f"## {title.capitalize()}"]
        for method in (name for name, module in METHODS.items() if module in modules):
            lines += ["", f"### {method}", "", f"![{method}]({method}.png)", "", "```text"]
            if method in ORGANS:
                (options,) = commands[method]
                lines += [
                    f"vesalius classical {method} {Path(ORGANS[method]).name} -o labels.nii.gz {options}".rstrip(),
                    "```",
                ]
                continue
            picture, volume = commands[method]
            lines += [
                f"vesalius classical {method} nuclei.png --channel luminance -o nuclei-labels.png {picture}".rstrip(),
                f"vesalius classical {method} spleen.nii.gz -o spleen-labels.nii.gz {volume}".rstrip(),
                "```",
            ]
    lines += ["", "## Atlases", "", "### atlas", "", "![atlas](atlas.png)", "", "```text"]
    lines += [f"vesalius classical atlas hippocampus.nii.gz -o labels.nii.gz {options}" for options in ATLAS_EXAMPLES]
    lines += [
        "```",
        "",
        "A hippocampus, front and back, by one atlas that was scaled (left) and by five that were bent.",
    ]
    lines += ["", "## Files of seeds"]
    for name in SEEDS:
        lines += ["", f"`{name}.json`:", "", "```json", seeds_text(name), "```"]
    return "\n".join(lines) + "\n"


def seeds_text(name: str) -> str:
    """A file of seeds."""
    rows = ",\n".join(f"  {json.dumps(mark)}" for mark in SEEDS[name])
    return f'{{"space": "index", "seeds": [\n{rows}\n]}}'


def main() -> None:
    """Draw, or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of data sets")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/gallery"), help="folder (docs/gallery)")
    parser.add_argument("--only", nargs="+", metavar="METHOD", help="these methods (all)")
    parser.add_argument("--check", action="store_true", help="draw nothing")
    args = parser.parse_args()
    missing = sorted(set(METHODS) ^ set(EXAMPLES))
    if missing:
        raise SystemExit(f"EXAMPLES and the methods differ in {', '.join(missing)}")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        images = prepare(args.data, work)
        target = prepare_atlases(args.data, work)
        for method in args.only or (*METHODS, "atlas"):
            shown = [(target, o) for o in ATLAS_EXAMPLES]
            if method != "atlas":
                shown = list(zip(seen_by(method, images, args.data), EXAMPLES[method], strict=True))
            pairs = [found_by(method, image, options, work) for image, options in shown]
            print(method, *(f"{len(np.unique(labels.array)) - 1} labels" for _, labels in pairs), sep=", ", flush=True)
            if not args.check:
                drawn = np.concatenate([panel(*pair) for pair in pairs], axis=1)
                small = Image.fromarray(drawn).quantize(_COLOURS)
                small.save(make_folder(args.output) / f"{method}.png", optimize=True)
    if not args.check and not args.only:
        write_text(args.output / "index.md", page(EXAMPLES))


if __name__ == "__main__":
    sys.exit(main())
