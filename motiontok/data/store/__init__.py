"""Canonical motion on disk in 144 bytes a frame, for more of it than memory holds."""
