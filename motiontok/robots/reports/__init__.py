"""Quality of retargeting, in figures and pictures."""
