"""Deterministic encoders whose vectors are quantised.

``temporal`` is what DAPS on motion starts from; ``vqvae``, ``rvq``, ``fsq`` and ``lfq`` are for
comparisons; ``lopq-net`` has the best images.
"""
