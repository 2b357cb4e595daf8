"""The version, in the one place where the build, the runs and the reports read it."""

__version__ = "0.1.0"
