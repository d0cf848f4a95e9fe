"""From humanoid clips of any origin to canonical motion."""

from bvh.normalizer.calibration import Calibration, calibrate
from bvh.normalizer.mapping import read_mapping
from bvh.normalizer.normalize import Report, examine, normalize

__all__ = ["Calibration", "Report", "calibrate", "examine", "normalize", "read_mapping"]
