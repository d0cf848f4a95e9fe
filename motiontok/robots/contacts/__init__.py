"""What touches the ground and stays there."""
