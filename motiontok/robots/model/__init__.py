"""What a robot is: its description, its map, its calibration."""
