"""Derivations: from expected mixings and a supernet to an architecture. The protocol, and one file each."""
