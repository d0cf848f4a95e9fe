"""Configurations shipped with motiontok: one TOML file a run, `robots/` for robots."""
