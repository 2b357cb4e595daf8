"""The network that contains every candidate: storage of all weights, plan of what runs, and its evaluation."""

from archgrad.supernet.image import ImageSupernet
from archgrad.supernet.layout import AllEngines, EnginesAt, Layout, SamplePerLayer, Seat

__all__ = ["AllEngines", "EnginesAt", "ImageSupernet", "Layout", "SamplePerLayer", "Seat"]
