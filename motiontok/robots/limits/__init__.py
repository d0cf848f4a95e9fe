"""Soft limits of a trajectory: joint margins, speeds, jerk, and self-collision."""
