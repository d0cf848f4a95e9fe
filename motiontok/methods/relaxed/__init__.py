"""Relaxed samples, whose gradients reach the encoder: what DAPS is compared with."""
