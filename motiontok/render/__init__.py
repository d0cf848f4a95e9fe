"""Pictures and videos of motions and robots, without a display."""

from motiontok.render.actors import Actor, Part
from motiontok.render.api import render_image, render_sheet, render_video
from motiontok.render.cameras import CAMERAS
from motiontok.render.film import LAYOUTS
from motiontok.render.mannequin import MannequinActor
from motiontok.render.overlay import TokenTrack

__all__ = [
    "CAMERAS",
    "LAYOUTS",
    "Actor",
    "MannequinActor",
    "Part",
    "TokenTrack",
    "render_image",
    "render_sheet",
    "render_video",
]
