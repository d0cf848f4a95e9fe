"""Trajectories and their files."""
