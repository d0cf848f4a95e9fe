"""The parts that `latest.py` measures: each has a title and a `measure`, which gives Markdown."""
