"""Pictures and videos of motions and robots, without a display."""

from motiontok.render.actors import Actor, Part
from motiontok.render.api import render_image, render_video
from motiontok.render.cameras import CAMERAS
from motiontok.render.canvas import RenderWarning
from motiontok.render.film import LAYOUTS
from motiontok.render.mannequin import MannequinActor
from motiontok.render.overlay import TokenTrack
from motiontok.render.robot import RobotActor
from motiontok.render.sheet import render_sheet

__all__ = [
    "CAMERAS",
    "LAYOUTS",
    "Actor",
    "MannequinActor",
    "Part",
    "RenderWarning",
    "RobotActor",
    "TokenTrack",
    "render_image",
    "render_sheet",
    "render_video",
]
