"""How long surfaces of many structures take, and what they are worth, beside scikit-image, VTK and dicom2stl.

All get the same label map: bumpy ellipsoids that touch, as organs do. Each program's result is one mesh a structure,
smoothed as it does by itself (scikit-image: marching cubes at 0.5, then Taubin's smoothing by trimesh; VTK:
SurfaceNets3D with its own). VTK comes with the extra `benchmarks`, and is left out where it is not installed. dicom2stl
makes one structure at a time, of the values between two thresholds, as a program: give it an environment of its own
and name it with `--dicom2stl`. The time of programs that a method starts is counted.

    python benchmarks/mesh.py --shape 512 512 400 --structures 20 --dicom2stl ENVIRONMENT/bin/dicom2stl
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from vesalius.image import Grid, Label, LabelMap, Labels
from vesalius.io import write
from vesalius.mesh import Surface, check, extract, simplify
from vesalius.mesh.files import read_mesh

SPACING_MM = (0.8, 0.8, 1.0)


def organs(shape: tuple[int, int, int], count: int, seed: int) -> LabelMap:
    """Bumpy ellipsoids within a body."""
    random = np.random.default_rng(seed)
    array = np.zeros(shape, np.uint8)
    size = np.asarray(shape) * SPACING_MM
    for value in range(1, count + 1):
        centre, radii = random.uniform(0.22, 0.78, 3) * size, random.uniform(0.05, 0.15, 3) * size
        low = np.maximum(((centre - 1.25 * radii) / SPACING_MM).astype(int), 0)
        high = np.minimum(((centre + 1.25 * radii) / SPACING_MM).astype(int) + 1, shape)
        axes = [
            (np.arange(a, b) * s - c) / r for a, b, s, c, r in zip(low, high, SPACING_MM, centre, radii, strict=True)
        ]
        x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
        edge = 1 + 0.12 * np.sin(6 * x + value) * np.sin(5 * y) * np.sin(7 * z + value)
        array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))][x**2 + y**2 + z**2 < edge**2] = value
    return LabelMap(array, Grid.from_spacing(shape, SPACING_MM), Labels.of(range(1, count + 1)))


def ours(labels: LabelMap) -> list[Surface]:
    """Vesalius as it is."""
    return list(extract(labels).surfaces())


def fewer(labels: LabelMap) -> list[Surface]:
    """Vesalius, simplified to a quarter of a voxel."""
    return list(simplify(extract(labels), max_error_mm=0.2).surfaces())


def scikit_image(labels: LabelMap) -> list[Surface]:
    """Marching cubes of each structure in its box, Taubin's smoothing by trimesh."""
    import trimesh
    from scipy.ndimage import find_objects
    from skimage.measure import marching_cubes

    found = []
    for value, box in enumerate(find_objects(labels.array), 1):
        if box is None:
            continue
        inside = np.pad(labels.array[box] == value, 1).astype(np.float32)
        vertices, faces, _, _ = marching_cubes(inside, 0.5, spacing=SPACING_MM, gradient_direction="ascent")
        mesh = trimesh.Trimesh(vertices, faces, process=False)
        trimesh.smoothing.filter_taubin(mesh, iterations=40)
        found.append(_surface(mesh.vertices, mesh.faces, value))
    return found


def surface_nets(labels: LabelMap) -> list[Surface]:
    """SurfaceNets3D: walls are shared, and each structure is taken out of it."""
    from vtk import vtkImageData, vtkSurfaceNets3D
    from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

    image = vtkImageData()
    image.SetDimensions(labels.grid.shape)
    image.SetSpacing(SPACING_MM)
    image.GetPointData().SetScalars(numpy_to_vtk(labels.array.ravel(order="F"), deep=True))
    nets = vtkSurfaceNets3D()
    nets.SetInputData(image)
    for place, value in enumerate(labels.labels.values):
        nets.SetValue(place, value)
    nets.SetOutputMeshTypeToTriangles()
    nets.Update()
    made = nets.GetOutput()
    vertices = vtk_to_numpy(made.GetPoints().GetData()).astype(np.float64)
    faces = vtk_to_numpy(made.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    sides = vtk_to_numpy(made.GetCellData().GetArray("BoundaryLabels"))
    found = []
    for value in labels.labels.values:
        own, other = faces[sides[:, 0] == value], faces[sides[:, 1] == value]
        if len(own) + len(other):
            found.append(_surface(vertices, np.concatenate([own, other[:, ::-1]]), value))
    return found


def dicom2stl(labels: LabelMap, program: Path) -> list[Surface]:
    """dicom2stl as it is by default: median of the mask, VTK's contour, smoothing, nine of ten triangles left out."""
    found = []
    with TemporaryDirectory() as folder:
        source, target = Path(folder) / "labels.nii", Path(folder) / "structure.stl"
        write(labels, source)
        for value in labels.labels.values:
            band = ";".join([str(value)] * 4)  # thresholds are rounded to the kind of number that the image has
            target.unlink(missing_ok=True)
            told = [str(program), "--double", band, "--temp", folder, "--output", str(target), str(source)]
            subprocess.run(told, check=False, capture_output=True, cwd=folder)
            if target.is_file():
                (made,) = read_mesh(target)
                found.append(_surface(made.vertices, made.faces, value))
    return found


METHODS: dict[str, Callable[[LabelMap], list[Surface]]] = {
    "Vesalius": ours,
    "Vesalius, simplified": fewer,
    "scikit-image, trimesh": scikit_image,
    "VTK SurfaceNets3D": surface_nets,
}


def _surface(vertices: NDArray[np.floating], faces: NDArray[np.integer], value: int) -> Surface:
    used, numbers = np.unique(faces, return_inverse=True)
    surface = Surface(vertices[used], numbers.reshape(-1, 3).astype(np.int32), Label(f"label {value}", value))
    return surface if surface.volume_ml > 0 else Surface(surface.vertices, surface.faces[:, ::-1], surface.label)


def _processor_time() -> float:
    """Of this process and of those that it started and that have ended."""
    return time.process_time() + sum(os.times()[2:4])


def rows(labels: LabelMap, methods: Mapping[str, Callable[[LabelMap], list[Surface]]]) -> Iterator[str]:
    """A line of the table for each method."""
    voxels = labels.counts()
    for name in methods:
        cpu, wall = _processor_time(), time.perf_counter()
        try:
            surfaces = methods[name](labels)
        except ImportError as missing:
            yield f"| {name} | not installed: {missing.name} |"
            continue
        cpu, wall = _processor_time() - cpu, time.perf_counter() - wall
        begun = time.process_time()
        proofs = [check(surface) for surface in surfaces]
        proving = time.process_time() - begun
        off = [abs(s.volume_ml * 1000 / (voxels[s.label.value] * labels.grid.voxel_volume_mm3) - 1) for s in surfaces]
        cut = sum(proof.self_intersections or 0 for proof in proofs)
        sound = sum(proof.is_sound for proof in proofs)
        yield (
            f"| {name} | {cpu:.1f} | {wall:.1f} | {sum(len(s.faces) for s in surfaces):,} | "
            f"{sound} of {len(surfaces)} | {cut:,} | {100 * max(off):.2f} | {proving:.1f} |"
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=3, default=(256, 256, 200))
    parser.add_argument("--structures", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--method", action="append", choices=tuple(METHODS))
    parser.add_argument("--dicom2stl", type=Path, help="the program, to be compared as well")
    args = parser.parse_args()
    methods = {name: METHODS[name] for name in args.method or METHODS}
    if args.dicom2stl:
        methods["dicom2stl"] = partial(dicom2stl, program=args.dicom2stl.resolve())
    labels = organs(tuple(args.shape), args.structures, args.seed)
    print("| method | CPU s | wall s | triangles | sound | self-intersections | volume off, % | proof, CPU s |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for row in rows(labels, methods):
        print(row, flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"\npeak memory of all together: {peak:.2f} GiB")


if __name__ == "__main__":
    main()
