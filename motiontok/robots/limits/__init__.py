"""What a trajectory may not exceed: joints' ranges, speeds, jerk, and the robot's own bodies."""
