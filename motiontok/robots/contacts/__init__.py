"""Contacts with the ground: feet, resting bodies, and the ground itself."""
