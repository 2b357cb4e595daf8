"""Schedules: when the choices learn. The protocol, and one file each."""
