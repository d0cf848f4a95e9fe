"""Frames of a model by name; a link takes precedence over a joint of the same name."""

from __future__ import annotations

from typing import Any

import pinocchio as pin

__all__ = ["body_of_frame", "find_frame"]


def find_frame(model: Any, name: str) -> Any | None:
    """Pinocchio's frame with this name, of a link if there is one."""
    if model.existFrame(name, pin.FrameType.BODY):
        return model.frames[model.getFrameId(name, pin.FrameType.BODY)]
    return next((frame for frame in model.frames if frame.name == name), None)


def body_of_frame(model: Any, name: str) -> int | None:
    """Pinocchio joint index of the body that a frame is fixed to; 0 is the world."""
    frame = find_frame(model, name)
    return None if frame is None else int(frame.parentJoint)
