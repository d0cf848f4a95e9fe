"""Forward kinematics, Jacobians and rotations of many frames at once."""
