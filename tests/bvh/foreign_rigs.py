"""Rigs of character tools: many joints more than a body has, and names of their own."""

from __future__ import annotations

from rigs import RIGS, Row

__all__ = ["FOREIGN"]

_SIDES = (("Left", "L", 1), ("Right", "R", -1))


def _iclone() -> list[Row]:
    """Reallusion's iClone and Character Creator: twist and share bones, a face."""
    rows: list[Row] = [
        ("CC_Base_Hip", None, (0, 0, 0), "Hips"),
        ("CC_Base_Pelvis", "CC_Base_Hip", (0, 0, 0), "<"),
        ("CC_Base_Waist", "CC_Base_Hip", (0, 9, -1), "Spine"),
        ("CC_Base_Spine01", "CC_Base_Waist", (0, 11, 0), "Spine1"),
        ("CC_Base_Spine02", "CC_Base_Spine01", (0, 13, 0), "Spine2"),
        ("CC_Base_NeckTwist01", "CC_Base_Spine02", (0, 19, -1), "Neck"),
        ("CC_Base_NeckTwist02", "CC_Base_NeckTwist01", (0, 5, 1), "<"),
        ("CC_Base_Head", "CC_Base_NeckTwist02", (0, 5, 1), "Head"),
        ("CC_Base_FacialBone", "CC_Base_Head", (0, 0, 0), "<"),
        ("CC_Base_JawRoot", "CC_Base_FacialBone", (0, 1, 2), "<"),
        ("CC_Base_Tongue01", "CC_Base_JawRoot", (0, -1, 4), "<"),
        ("CC_Base_UpperJaw", "CC_Base_FacialBone", (0, 2, 6), "<"),
    ]
    for word, s, x in _SIDES:
        base = f"CC_Base_{s}_"
        rows += [
            (f"{base}Eye", "CC_Base_FacialBone", (3 * x, 6, 7), "<"),
            (f"{base}RibsTwist", "CC_Base_Spine02", (6 * x, 2, 5), "<"),
            (f"{base}Breast", f"{base}RibsTwist", (1 * x, 0, 6), "<"),
            (f"{base}Thigh", "CC_Base_Pelvis", (9 * x, -4, 0), f"{word}UpLeg"),
            (f"{base}ThighTwist01", f"{base}Thigh", (0, 0, 0), "<"),
            (f"{base}ThighTwist02", f"{base}ThighTwist01", (0, -22, 0), "<"),
            (f"{base}Calf", f"{base}Thigh", (0, -44, 0), f"{word}Leg"),
            (f"{base}CalfTwist01", f"{base}Calf", (0, 0, 0), "<"),
            (f"{base}CalfTwist02", f"{base}CalfTwist01", (0, -20, 0), "<"),
            (f"{base}KneeShareBone", f"{base}Calf", (0, 0, 2), "<"),
            (f"{base}Foot", f"{base}Calf", (0, -42, 0), f"{word}Foot"),
            (f"{base}ToeBaseShareBone", f"{base}Foot", (0, -6, 13), "<"),
            (f"{base}ToeBase", f"{base}Foot", (0, -6, 14), f"{word}Toe"),
            *[(f"{base}Toe{i}", f"{base}ToeBase", ((i - 3) * x, 0, 4), "<") for i in range(1, 6)],
            (f"{base}Clavicle", "CC_Base_Spine02", (3 * x, 15, 2), f"{word}Shoulder"),
            (f"{base}Upperarm", f"{base}Clavicle", (15 * x, 0, 0), f"{word}Arm"),
            (f"{base}UpperarmTwist01", f"{base}Upperarm", (0, 0, 0), "<"),
            (f"{base}UpperarmTwist02", f"{base}UpperarmTwist01", (14 * x, 0, 0), "<"),
            (f"{base}Forearm", f"{base}Upperarm", (28 * x, 0, 0), f"{word}ForeArm"),
            (f"{base}ElbowShareBone", f"{base}Forearm", (0, 0, -1), "<"),
            (f"{base}ForearmTwist01", f"{base}Forearm", (0, 0, 0), "<"),
            (f"{base}ForearmTwist02", f"{base}ForearmTwist01", (13 * x, 0, 0), "<"),
            (f"{base}Hand", f"{base}Forearm", (26 * x, 0, 0), f"{word}Hand"),
        ]
        for i, finger in enumerate(("Thumb", "Index", "Mid", "Ring", "Pinky")):
            parent = f"{base}Hand"
            for n, length in ((1, 9 * x), (2, 4 * x), (3, 2 * x)):
                name = f"{base}{finger}{n}"
                rows.append((name, parent, (length, 0, 3 - 1.5 * i if n == 1 else 0), "<"))
                parent = name
    return rows


def _makehuman() -> list[Row]:
    """MakeHuman's default rig: split limbs, numbers, sides behind a dot, a face of many bones."""
    rows: list[Row] = [("root", None, (0, 0, 0), "Hips")]
    above = "root"
    for name, joint in (
        ("spine05", "Spine"), ("spine04", "<"), ("spine03", "Spine1"), ("spine02", "<"),
        ("spine01", "Spine2"),
    ):  # fmt: skip
        rows.append((name, above, (0, 0.8, 0), joint))
        above = name
    for name, joint in (("neck01", "Neck"), ("neck02", "<"), ("neck03", "<"), ("head", "Head")):
        rows.append((name, above, (0, 1.6 if name == "neck01" else 0.35, 0.02), joint))
        above = name
    rows += [("jaw", "head", (0, 0.1, 0.3), "<"), ("special04", "jaw", (0, 0, 0.5), "<")]
    for word, s, x in _SIDES:
        rows += [
            (f"pelvis.{s}", "root", (0.2 * x, -0.1, 0), "<"),
            (f"upperleg01.{s}", f"pelvis.{s}", (0.8 * x, -0.3, 0), f"{word}UpLeg"),
            (f"upperleg02.{s}", f"upperleg01.{s}", (0, -2.1, 0), "<"),
            (f"lowerleg01.{s}", f"upperleg02.{s}", (0, -2.2, 0), f"{word}Leg"),
            (f"lowerleg02.{s}", f"lowerleg01.{s}", (0, -2.1, 0), "<"),
            (f"foot.{s}", f"lowerleg02.{s}", (0, -2.0, 0), f"{word}Foot"),
            *[
                (f"toe{i}-1.{s}", f"foot.{s}", (0.15 * (3 - i) * x, -0.6, 1.5), f"{word}Toe")
                for i in range(1, 6)
            ],
            (f"clavicle.{s}", "spine01", (0.2 * x, 1.3, 0.2), f"{word}Shoulder"),
            (f"shoulder01.{s}", f"clavicle.{s}", (0.8 * x, 0, 0), "<"),
            (f"upperarm01.{s}", f"shoulder01.{s}", (0.6 * x, 0, 0), f"{word}Arm"),
            (f"upperarm02.{s}", f"upperarm01.{s}", (1.4 * x, 0, 0), "<"),
            (f"lowerarm01.{s}", f"upperarm02.{s}", (1.4 * x, 0, 0), f"{word}ForeArm"),
            (f"lowerarm02.{s}", f"lowerarm01.{s}", (1.3 * x, 0, 0), "<"),
            (f"wrist.{s}", f"lowerarm02.{s}", (1.2 * x, 0, 0), f"{word}Hand"),
            (f"eye.{s}", "head", (0.3 * x, 0.4, 0.8), "<"),
            (f"breast.{s}", "spine02", (0.7 * x, 0.2, 0.9), "<"),
        ]
        for i in range(1, 6):
            rows += [
                (f"metacarpal{i}.{s}", f"wrist.{s}", (0.5 * x, 0, 0.1 * (3 - i)), "<"),
                (f"finger{i}-1.{s}", f"metacarpal{i}.{s}", (0.4 * x, 0, 0), "<"),
                (f"finger{i}-2.{s}", f"finger{i}-1.{s}", (0.3 * x, 0, 0), "<"),
            ]
        for i in range(1, 31):
            place = (0.02 * i * x, 0.3 + 0.01 * (i % 7), 0.7 + 0.02 * (i % 3))
            rows.append((f"levator{i:02}.{s}", "head", place, "<"))
    return rows


def _rigify() -> list[Row]:
    """Blender's Rigify, and MakeHuman's rigs for it: spine.001, thigh.L."""
    rows: list[Row] = [("spine", None, (0, 0, 0), "Hips")]
    above = "spine"
    for name, joint in (("001", "Spine"), ("002", "Spine1"), ("003", "Spine2")):
        rows.append((f"spine.{name}", above, (0, 0.12, 0), joint))
        above = f"spine.{name}"
    rows += [
        ("spine.004", above, (0, 0.2, 0), "Neck"),
        ("spine.006", "spine.004", (0, 0.1, 0.02), "Head"),
        ("face", "spine.006", (0, 0, 0), "<"),
    ]
    for word, s, x in _SIDES:
        rows += [
            (f"pelvis.{s}", "spine", (0.02 * x, 0.02, 0), "<"),
            (f"thigh.{s}", "spine", (0.09 * x, -0.04, 0), f"{word}UpLeg"),
            (f"shin.{s}", f"thigh.{s}", (0, -0.44, 0), f"{word}Leg"),
            (f"foot.{s}", f"shin.{s}", (0, -0.42, 0), f"{word}Foot"),
            (f"heel.02.{s}", f"foot.{s}", (0, -0.06, -0.04), "<"),
            (f"toe.{s}", f"foot.{s}", (0, -0.06, 0.14), f"{word}Toe"),
            (f"shoulder.{s}", "spine.003", (0.03 * x, 0.15, 0.02), f"{word}Shoulder"),
            (f"upper_arm.{s}", f"shoulder.{s}", (0.15 * x, 0, 0), f"{word}Arm"),
            (f"forearm.{s}", f"upper_arm.{s}", (0.28 * x, 0, 0), f"{word}ForeArm"),
            (f"hand.{s}", f"forearm.{s}", (0.26 * x, 0, 0), f"{word}Hand"),
            (f"palm.01.{s}", f"hand.{s}", (0.03 * x, 0, 0.02), "<"),
            (f"f_index.01.{s}", f"palm.01.{s}", (0.06 * x, 0, 0), "<"),
            (f"eye.{s}", "face", (0.03 * x, 0.05, 0.08), "<"),
        ]
    return rows


FOREIGN: dict[str, tuple[list[Row], float]] = {
    "iclone": (_iclone(), 100.0),
    "makehuman": (_makehuman(), 10.0),
    "rigify": (_rigify(), 1.0),
}
"""Rig -> skeleton and its units per metre."""

_METRE = {"cm": 100.0, "m": 1.0, "cmu": 0.45 / 0.0254}
ALL: dict[str, tuple[list[Row], float]] = {
    **{name: (rig, _METRE[unit]) for name, (rig, unit) in RIGS.items()},
    **{name: FOREIGN[name] for name in ("iclone", "makehuman")},
}
"""These, and the families of :mod:`rigs`."""
