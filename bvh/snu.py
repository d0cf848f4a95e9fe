"""Names of the clips of the Seoul National University Movement Research Lab.

Their files are named after their content, in several ways: ``wd2_WalkForwardVFast01``,
``wd2_cross_walk_m45d_slow_15``, ``wd2_tt_serve_1``, ``boxing_boxman_ducking_dir``. The action is
found by words, so that all takes of one action have one label.
"""

from __future__ import annotations

import re

__all__ = ["read_name"]

_WOODY = re.compile(r"(?:woody_)?(?:wd2|woddy2)_(.+)|woody_(.+)")
_SESSION = re.compile(r"(basketball)_s_(\d+)_(.+)|(tennis)_([A-Z][a-z]+)Tennis(.+)")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_ACTIONS = {  # by how a word begins; what tells most comes first
    "boxing": "boxing", "tt": "table-tennis", "kick": "kick", "jump": "jump", "hop": "hop",
    "run": "run", "push": "push", "raise": "raise", "fall": "fall", "pose": "pose",
    "idle": "idle", "start": "start", "stop": "stop", "slope": "walk-slope",
    "cross": "walk-cross", "spiral": "walk-spiral", "turn": "turn", "walk": "walk",
}  # fmt: skip
_SPEEDS = ("slow", "normal", "fast")
_SPELT = {"v": "very", "wav": "wave"}
_SIDES = {"backward": "back", "left": "left", "right": "right"}


def read_name(stem: str) -> dict[str, str] | None:
    """Action, style, subject and take of a file's stem; None if it is not one of theirs.

    Names that say nothing of the action (``wd2_Take_001``) give an empty one.
    """
    if match := _SESSION.fullmatch(stem):
        action, subject, take = (found for found in match.groups() if found is not None)
        return {"action": action, "subject": subject, "take": take}
    if stem.endswith("_t_pose"):  # of any of their sets
        return {"action": "pose"}
    match = _WOODY.fullmatch(stem)
    if match is None:
        return None
    name = match[1] or match[2]
    words = [word.lower() for word in _WORD.findall(name)]
    take = words.pop() if words and words[-1].isdigit() else ""
    action = next((_ACTIONS[k] for k in _ACTIONS if any(w.startswith(k) for w in words)), "")
    if action in ("walk", "turn"):
        action = "-".join([action, *(_SIDES[w] for w in words if w in _SIDES)])
    return {"action": action, "style": _style(name, words), "take": take}


def _style(name: str, words: list[str]) -> str:
    """``WalkTongTong`` says how in words of its own; other names how fast at most."""
    if name.startswith("Walk"):
        return "-".join(_SPELT.get(w, w) for w in words[1:] if w not in ("forward", "backward"))
    return next((speed for speed in _SPEEDS for w in words if w.endswith(speed)), "")
