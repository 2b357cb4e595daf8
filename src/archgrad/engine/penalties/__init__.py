"""Penalties: what is added to a loss. The protocol, and one file each."""
