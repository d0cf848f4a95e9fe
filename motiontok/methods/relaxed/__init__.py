"""Relaxed samples, whose gradients reach the encoder, to compare DAPS with."""
