"""Pictures of surfaces: drawn off-screen, seen from the patient's sides, with lengths that are true.

`render` makes one picture of surfaces; `arrange` makes surfaces ready once, and `picture` draws them from
anywhere, `turn` from all around. It
runs on the processor alone: it needs no display and no graphics card (but OpenCV 5, ``vesalius[pictures]``).
"""

from vesalius.mesh.rendering.bodies import Scene, arrange
from vesalius.mesh.rendering.camera import VIEWS, Camera
from vesalius.mesh.rendering.clip import Clip
from vesalius.mesh.rendering.picture import picture, render
from vesalius.mesh.rendering.turn import turn

__all__ = ["VIEWS", "Camera", "Clip", "Scene", "arrange", "picture", "render", "turn"]
