"""How well a robot follows, in figures and pictures."""
