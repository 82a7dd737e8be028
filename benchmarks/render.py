"""How long a picture of a large surface takes, beside VTK drawing off-screen.

Both draw the same surface from the same side, orthographic, as large, with smooth normals and the edges of the figure
averaged (Vesalius: 2 × 2 samples; VTK: 4 samples). VTK's pictures are without letters, names, scale bar and shadows of
hollows; so are those of "Vesalius, plain" but for the shadows. The first picture includes what is done once for a
surface. VTK draws by OpenGL, on machines without a graphics card by Mesa's software: it comes with the extra
`benchmarks`, and is left out where it is not installed.

    OMP_NUM_THREADS=1 LP_NUM_THREADS=0 taskset -c 0 python benchmarks/render.py --triangles 500000
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vesalius.image import Label
from vesalius.mesh import Surface
from vesalius.mesh.rendering import Camera, arrange, picture, render
from vesalius.mesh.rendering.projection import fitted

Drawing = Callable[[], NDArray[np.uint8]]


def bumpy(triangles: int) -> Surface:
    """A ball with hills, as an organ has them, of about so many triangles."""
    steps = max(8, round((triangles / 4) ** 0.5))
    polar, turn = np.meshgrid(np.linspace(0, np.pi, steps + 1), np.arange(2 * steps) * np.pi / steps, indexing="ij")
    radius = 60 * (1 + 0.12 * np.sin(6 * polar) * np.sin(5 * turn) + 0.03 * np.sin(23 * polar) * np.sin(19 * turn))
    around = [np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)]
    vertices = (np.stack(around, axis=-1) * radius[..., None]).reshape(-1, 3)
    row, column = np.meshgrid(np.arange(steps), np.arange(2 * steps), indexing="ij")
    a, b = row * 2 * steps + column, row * 2 * steps + (column + 1) % (2 * steps)
    c, d = a + 2 * steps, b + 2 * steps
    faces = np.concatenate([np.stack([a, c, d], -1).reshape(-1, 3), np.stack([a, d, b], -1).reshape(-1, 3)])
    return Surface(vertices, faces, Label("organ", 1, (200, 90, 70)))


def ours(surface: Surface, size: tuple[int, int], *, marked: bool) -> tuple[Drawing, Drawing]:
    """The first picture of a surface, and a further one."""
    scene = arrange([surface])
    return lambda: render([surface], size=size, marked=marked), lambda: picture(
        scene, Camera(), size=size, marked=marked
    )


def vtk(surface: Surface, size: tuple[int, int]) -> tuple[Drawing, Drawing]:
    """VTK, off-screen."""
    from vtk import (
        vtkActor,
        vtkCellArray,
        vtkPoints,
        vtkPolyData,
        vtkPolyDataMapper,
        vtkPolyDataNormals,
        vtkRenderer,
        vtkRenderWindow,
        vtkWindowToImageFilter,
    )
    from vtk.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray, vtk_to_numpy

    def window() -> vtkRenderWindow:
        points = vtkPoints()
        points.SetData(numpy_to_vtk(surface.vertices, deep=True))
        cells = vtkCellArray()
        cells.SetData(3, numpy_to_vtkIdTypeArray(surface.faces.astype(np.int64).ravel(), deep=True))
        data = vtkPolyData()
        data.SetPoints(points)
        data.SetPolys(cells)
        normals = vtkPolyDataNormals()
        normals.SetInputData(data)
        normals.SplittingOff()
        normals.ConsistencyOff()
        mapper = vtkPolyDataMapper()
        mapper.SetInputConnection(normals.GetOutputPort())
        actor = vtkActor()
        actor.SetMapper(mapper)
        actor.GetProperty().SetColor(*(part / 255 for part in surface.label.colour or (255, 255, 255)))
        renderer = vtkRenderer()
        renderer.SetBackground(1, 1, 1)
        renderer.AddActor(actor)
        made = vtkRenderWindow()
        made.SetOffScreenRendering(True)
        made.SetMultiSamples(4)
        made.SetSize(*size)
        made.AddRenderer(renderer)
        camera = renderer.GetActiveCamera()
        camera.ParallelProjectionOn()
        camera.SetPosition(0, -500, 0)
        camera.SetFocalPoint(0, 0, 0)
        camera.SetViewUp(0, 0, 1)
        renderer.ResetCamera()
        placed = fitted(surface.vertices, Camera(), size, margins_px=(0.04 * size[0], 0.04 * size[1]))
        camera.SetParallelScale(placed.mm_per_px * size[1] / 2)
        return made

    def shot(made: vtkRenderWindow) -> NDArray[np.uint8]:
        made.Render()
        taken = vtkWindowToImageFilter()
        taken.SetInput(made)
        taken.ReadFrontBufferOff()
        taken.Update()
        image = taken.GetOutput()
        rows = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(size[1], size[0], -1)
        return np.ascontiguousarray(rows[::-1])

    kept = window()
    shot(kept)

    def again() -> NDArray[np.uint8]:
        kept.GetRenderers().GetFirstRenderer().GetActiveCamera().Azimuth(1)
        return shot(kept)

    return lambda: shot(window()), again


def timed(drawing: Drawing) -> tuple[float, float, float]:
    """Seconds by the clock and of the processor, and how much of the picture is covered."""
    clock, processor = time.perf_counter(), time.process_time()
    shown = drawing()
    spent = time.perf_counter() - clock, time.process_time() - processor
    return *spent, float((shown[..., :3] < 250).any(axis=2).mean())


def main() -> None:
    """Measure in turn, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--triangles", type=int, default=500_000)
    parser.add_argument("--size", type=int, nargs=2, default=(1024, 768))
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    size = (args.size[0], args.size[1])
    surface = bumpy(args.triangles)
    ways: dict[str, tuple[Drawing, Drawing]] = {
        "Vesalius": ours(surface, size, marked=True),
        "Vesalius, plain": ours(surface, size, marked=False),
    }
    try:
        ways["VTK"] = vtk(surface, size)
    except ImportError as error:
        print(f"VTK: left out: {error}")
    print(f"{len(surface.faces):,} triangles, {size[0]} x {size[1]}, {len(os.sched_getaffinity(0))} cores")
    found: dict[tuple[str, int], list[tuple[float, float, float]]] = {}
    for _ in range(args.rounds):
        for name, drawings in ways.items():
            for number, drawing in enumerate(drawings):
                found.setdefault((name, number), []).append(timed(drawing))
    print(f"{'':28} {'seconds':>9} {'processor':>10} {'covered':>8}")
    for (name, number), rows in found.items():
        clock, processor, covered = (statistics.median(column) for column in zip(*rows, strict=True))
        what = f"{name}, {('first picture', 'further')[number]}"
        print(f"{what:28} {clock:9.2f} {processor:10.2f} {covered:8.3f}")


if __name__ == "__main__":
    main()
