"""Draw the gallery of preprocessing: each step of `vesalius preprocess` by the command line, before and after.

    python scripts/gallery_steps.py ../shared/data -o docs/gallery

Writes steps/NAME.png for every step but `suv` and `fundus` (no PET and no retina is among the data that may be
shown), and preprocessing.md.
Beneath each image stands the histogram of its values, and their range. Images: Data Science Bowl 2018 (CC0),
multiple sclerosis MR (CC BY 4.0), Medical Segmentation Decathlon (CC BY-SA 4.0), TotalSegmentator (CC BY 4.0).
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from pathlib import Path

import numpy as np
from gallery import PICTURE, VOLUME, run
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from vesalius.image import Volume
from vesalius.io import read
from vesalius.io.atomic import make_folder, write_text
from vesalius.transform.pipeline import STEPS

IMAGES = {
    "nuclei.png": PICTURE,
    "stained.png": "dsb2018_nuclei/images/0bf33d3db4282d918ec3da7112d0bf0427d4eafe74b3ee0bb419770eefe8d7d6.png",
    "t1.nii.gz": "ms_lesion_mr/longitudinal_raw_patient01/study1_T1W.nii.gz",
    "flair.nii.gz": "ms_lesion_mr/longitudinal_raw_patient01/study1_FLAIR.nii.gz",
    "spleen.nii.gz": VOLUME,
    "trunk.nii.gz": "totalsegmentator_samples/ct.nii.gz",
}

# For each step the image, its arguments, and the axis across which the slice in the middle is shown.
EXAMPLES: dict[str, tuple[str, str, int]] = {
    "grey": ("stained.png", "", 2),
    "orient": ("t1.nii.gz", "codes=PIR", 2),
    "isotropic": ("spleen.nii.gz", "interpolation=cubic", 1),
    "gaussian": ("t1.nii.gz", "sigma_mm=1.5", 2),
    "median": ("nuclei.png", "radius_mm=3", 2),
    "bilateral": ("t1.nii.gz", "sigma_mm=1.5", 2),
    "anisotropic-diffusion": ("t1.nii.gz", "iterations=10", 2),
    "non-local-means": ("spleen.nii.gz", "", 2),
    "window": ("trunk.nii.gz", "preset=abdomen", 1),
    "gamma": ("nuclei.png", "exponent=0.5", 2),
    "equalise": ("nuclei.png", "", 2),
    "match-histogram": ("t1.nii.gz", "reference=flair.nii.gz", 2),
    "clahe": ("nuclei.png", "clip=0.02", 2),
    "z-score": ("t1.nii.gz", "over=nonzero", 2),
    "percentile": ("t1.nii.gz", "", 2),
    "nyul": ("t1.nii.gz", "landmarks=brains", 2),
    "white-stripe": ("t1.nii.gz", "weighting=t1", 2),
    "n4": ("t1.nii.gz", "", 2),
    "body": ("trunk.nii.gz", "", 2),
    "brain": ("t1.nii.gz", "", 2),
}
LEFT_OUT = {"suv", "fundus"}

_SIDE, _STRIP, _BINS = 240, 56, 120  # pixels
_COLOURS = 64


def prepare(data: Path, work: Path) -> None:
    """Lay the images out under the names that the commands use."""
    for name, place in IMAGES.items():
        (work / name).symlink_to((data / place).resolve())
    brains = make_folder(work / "brains")
    for name in ("t1.nii.gz", "flair.nii.gz"):
        (brains / name).symlink_to((work / name).resolve())


def changed_by(step: str, work: Path) -> tuple[Volume, Volume]:
    """An image before and after a step."""
    image, arguments, _ = EXAMPLES[step]
    words = [
        f"{name}={work / value if (work / value).exists() else value}"
        for name, value in (word.split("=") for word in arguments.split())
    ]
    output = work / f"{step}{'.npz' if image.endswith('.png') else '.nii.gz'}"
    run(["preprocess", str(work / image), "-o", str(output), "--step", " ".join([step, *words])])
    return read(work / image), read(output)


def panel(volume: Volume, axis: int) -> NDArray[np.uint8]:
    """The slice in the middle as it lies in the array, its own range from black to white, and the histogram."""
    array = volume.array.astype(float)
    if array.ndim == 4:
        array = np.take(array, array.shape[1 + axis] // 2, axis=1 + axis)
    low, high = np.percentile(array, (0.5, 98))
    shade = (np.clip((array - low) / max(high - low, 1e-9), 0, 1) * 255).astype(np.uint8)
    shown = np.repeat(shade, 3, axis=0) if len(shade) == 1 else shade
    spacing = [s for a, s in enumerate(volume.grid.spacing_mm) if volume.grid.ndim == 2 or a != axis]
    size = [n * s for n, s in zip(shown.shape[1:], spacing, strict=True)]
    width, height = (max(1, round(s * _SIDE / max(size))) for s in size)
    drawn = Image.fromarray(shown.transpose(2, 1, 0)).resize((width, height), Image.Resampling.BILINEAR)
    if volume.grid.ndim == 3 and (axis != 2 or volume.grid.axis_codes[1] == "A"):
        drawn = drawn.transpose(Image.Transpose.FLIP_TOP_BOTTOM)  # heads up, faces up
    canvas = Image.new("RGB", (_SIDE, _SIDE + _STRIP))
    canvas.paste(drawn, ((_SIDE - width) // 2, (_SIDE - height) // 2))
    least, most = float(volume.array.min()), float(volume.array.max())
    counts = np.histogram(volume.array, bins=_BINS, range=(least, most if most > least else least + 1))[0]
    # Air is so frequent that all else would be flat beside it: the second most frequent value decides.
    heights = np.sqrt(np.minimum(counts / max(np.sort(counts)[-2], 1), 1)) * (_STRIP - 16)
    pen = ImageDraw.Draw(canvas)
    for k, h in enumerate(heights):
        pen.rectangle((2 * k, _SIDE + _STRIP - 14 - h, 2 * k + 1, _SIDE + _STRIP - 14), fill=(120, 160, 220))
    pen.text((2, _SIDE + _STRIP - 12), f"{least:.3g}", fill=(230, 230, 230))
    pen.text((_SIDE - 44, _SIDE + _STRIP - 12), f"{most:9.3g}", fill=(230, 230, 230))
    return np.asarray(canvas)


def page() -> str:
    """The page: commands and pictures."""
    lines = [
        "# Gallery of preprocessing",
        "",
        "Each step of `vesalius preprocess` before and after, by the command beneath it; under the images the",
        "histogram of the values (square roots of the counts) and their range. Every image is shown from its own",
        "black to its own white. Made by `python scripts/gallery_steps.py`. `suv` is missing: no PET is among the",
        "data that may be shown.",
        "What the steps are for: [Preprocess](../how-to/preprocess.md).",
        "",
        "Images: Data Science Bowl 2018 (CC0); brain MR in multiple sclerosis (CC BY 4.0); Medical Segmentation",
        "Decathlon, Task09 (CC BY-SA 4.0); TotalSegmentator (CC BY 4.0).",
    ]
    for step, (image, arguments, _) in EXAMPLES.items():
        words = shlex.quote(f"{step} {arguments}".strip())
        ending = "npz" if image.endswith(".png") else "nii.gz"
        lines += ["", f"## {step}", "", f"![{step}](steps/{step}.png)", "", "```text"]
        lines += [f"vesalius preprocess {image} -o changed.{ending} --step {words}", "```"]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Draw everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of data sets")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/gallery"), help="folder (docs/gallery)")
    args = parser.parse_args()
    if missing := set(STEPS) ^ set(EXAMPLES) ^ LEFT_OUT:
        raise SystemExit(f"EXAMPLES and the steps differ in {', '.join(sorted(missing))}")
    with tempfile.TemporaryDirectory() as folder:
        prepare(args.data, Path(folder))
        for step, (_, _, axis) in EXAMPLES.items():
            drawn = np.concatenate([panel(one, axis) for one in changed_by(step, Path(folder))], axis=1)
            Image.fromarray(drawn).quantize(_COLOURS).save(
                make_folder(args.output / "steps") / f"{step}.png", optimize=True
            )
            print(step, flush=True)
    write_text(args.output / "preprocessing.md", page())


if __name__ == "__main__":
    sys.exit(main())
