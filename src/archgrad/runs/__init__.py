"""The run directory: its settings, log and checkpoints, written so that a crash or a full disk loses nothing.

What a caller needs is in :mod:`~archgrad.runs.directory`, :mod:`~archgrad.runs.config`, :mod:`~archgrad.runs.log` and
:mod:`~archgrad.runs.checkpoint`; the other files serve these.
"""
