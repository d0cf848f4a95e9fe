"""Inverse kinematics: one frame, whole trajectories, streams."""
