"""Other robots, made of the packaged skeleton: other names, locked joints, fewer or more limbs."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from xml.etree import ElementTree

from motiontok.paths import config_dir

LIMIT = {"lower": "0", "upper": "1.2", "effort": "1", "velocity": "10"}


class Variant:
    """The skeleton's description, to be changed and written."""

    def __init__(self):
        self.root = ElementTree.parse(config_dir() / "robots" / "skeleton.urdf").getroot()

    def joint(self, name):
        return next(j for j in self.root.findall("joint") if j.get("name") == name)

    def link(self, name):
        return next(k for k in self.root.findall("link") if k.get("name") == name)

    def lock(self, pattern):
        """Joints whose names match move no more."""
        joints = [j for j in self.root.findall("joint") if re.search(pattern, j.get("name"))]
        assert joints
        for joint in joints:
            joint.set("type", "fixed")
        return self

    def drop(self, link):
        """A link goes, with all that hangs on it."""
        for joint in self.root.findall("joint"):
            if joint.find("parent").get("link") == link:
                self.drop(joint.find("child").get("link"))
            elif joint.find("child").get("link") == link:
                self.root.remove(joint)
        self.root.remove(self.link(link))
        return self

    def rename(self, new):
        """``new(name, kind)`` gives links and joints other names."""
        for kind in ("link", "joint"):
            for element in self.root.findall(kind):
                element.set("name", new(element.get("name"), kind))
        for element in self.root.iter():
            if element.tag in ("parent", "child"):
                element.set("link", new(element.get("link"), "link"))
            elif element.tag == "mimic":
                element.set("joint", new(element.get("joint"), "joint"))
        return self

    def add(self, name, parent, xyz, axis, *, mimic=None, kind="revolute"):
        """A joint ``NAME`` and the link ``NAME_link`` it moves."""
        ElementTree.SubElement(self.root, "link", name=f"{name}_link")
        joint = ElementTree.SubElement(self.root, "joint", name=name, type=kind)
        ElementTree.SubElement(joint, "parent", link=parent)
        ElementTree.SubElement(joint, "child", link=f"{name}_link")
        ElementTree.SubElement(joint, "origin", xyz=xyz)
        ElementTree.SubElement(joint, "axis", xyz=axis)
        ElementTree.SubElement(joint, "limit", LIMIT)
        if mimic:
            ElementTree.SubElement(joint, "mimic", joint=mimic, multiplier="1", offset="0")
        return self

    def fingers(self):
        """Two fingers and a thumb a hand; the fingers' second joints follow their first."""
        for side, out in (("left", 1), ("right", -1)):
            for k, name in enumerate(("index", "ring", "thumb")):
                first, second = f"{side}_{name}_1", f"{side}_{name}_2"
                at = f"{0.03 * k - 0.03} {0.09 * out} 0"
                self.add(first, f"{side}_hand", at, "1 0 0")
                self.add(second, f"{first}_link", f"0 {0.04 * out} 0", "1 0 0", mimic=first)
        return self

    def double_knees(self):
        """Knees of two hinges 4 cm apart, the second of which follows the first."""
        for side in ("left", "right"):
            knee = self.joint(f"{side}_knee_pitch")
            between = f"{side}_knee_2_link"
            knee.find("child").set("link", between)
            knee.find("limit").set("upper", "1.3")
            self.add(f"{side}_knee_2", between, "0 0 -0.04", "0 1 0", mimic=f"{side}_knee_pitch")
            second = self.joint(f"{side}_knee_2")
            second.find("child").set("link", f"{side}_shank")
            second.find("limit").set("lower", "-0.05")
            second.find("limit").set("upper", "1.3")
        return self

    def base_is_chest(self):
        """The waist, one yaw joint, hangs on the chest and carries the hips."""
        self.lock("trunk_(roll|pitch)")
        yaw, roll, pitch = (self.joint(f"trunk_{name}") for name in ("yaw", "roll", "pitch"))
        for joint, parent, child in (
            (pitch, "chest", "trunk_roll_link"),
            (roll, "trunk_roll_link", "trunk_yaw_link"),
            (yaw, "trunk_yaw_link", "hips"),
        ):
            joint.find("parent").set("link", parent)
            joint.find("child").set("link", child)
        at = yaw.find("origin").get("xyz").split()
        yaw.find("origin").set("xyz", "0 0 0")
        # The hips' origin lies as far under the joint as the joint was over it.
        for joint in self.root.findall("joint"):
            if joint.find("parent").get("link") == "hips":
                origin = joint.find("origin")
                values = zip(origin.get("xyz").split(), at, strict=True)
                origin.set("xyz", " ".join(str(float(a) - float(b)) for a, b in values))
        return self

    def quadruped(self):
        """Two more legs half a metre ahead, and neither arms nor head."""
        self.drop("trunk_yaw_link")
        for element in list(self.root):
            if element.get("name", "").startswith(("left_", "right_")):
                twin = copy.deepcopy(element)
                twin.set("name", f"fore_{element.get('name')}")
                for end in ("parent", "child"):
                    if twin.find(end) is not None and twin.find(end).get("link") != "hips":
                        twin.find(end).set("link", f"fore_{twin.find(end).get('link')}")
                if twin.tag == "joint" and twin.find("parent").get("link") == "hips":
                    origin = twin.find("origin")
                    x, y, z = origin.get("xyz").split()
                    origin.set("xyz", f"{float(x) + 0.5} {y} {z}")
                self.root.append(twin)
        return self

    def forearm_mass(self, side):
        """A forearm that ends where its mass says, bent by a right angle in the zero pose."""
        out = 1 if side == "left" else -1
        flex = self.joint(f"{side}_elbow_flex")
        flex.find("origin").set("rpy", f"0 0 {-1.5707963 * out}")
        flex.find("limit").set("lower", "-1.7")
        flex.find("limit").set("upper", "1.1")
        self._mass(f"{side}_forearm", f"0 {0.12 * out} 0", "1", ("0.01", "0.01", "0.01"))
        return self

    def _mass(self, link, xyz, mass, inertia):
        inertial = ElementTree.SubElement(self.link(link), "inertial")
        ElementTree.SubElement(inertial, "origin", xyz=xyz)
        ElementTree.SubElement(inertial, "mass", value=mass)
        about = dict(zip(("ixx", "iyy", "izz"), inertia, strict=True))
        zeros = dict.fromkeys(("ixy", "ixz", "iyz"), "0")
        ElementTree.SubElement(inertial, "inertia", {**about, **zeros})

    def feet_of_missing_meshes(self, *, mass=True):
        """Feet are meshes that are not there; their mass is that of the box they were."""
        for side in ("left", "right"):
            link = self.link(f"{side}_foot")
            for shape in ("visual", "collision"):
                geometry = link.find(f"{shape}/geometry")
                geometry.clear()
                ElementTree.SubElement(geometry, "mesh", filename=f"package://me/{side}.stl")
            if mass:
                # 1.2 / 12 of the squares of 0.27, 0.09 and 0.06 m, two by two.
                at = link.find("collision/origin").get("xyz")
                self._mass(f"{side}_foot", at, "1.2", ("0.00117", "0.00765", "0.0081"))
        return self

    def write(self, folder: Path, name="my.urdf"):
        path = folder / name
        ElementTree.ElementTree(self.root).write(path)
        return path
