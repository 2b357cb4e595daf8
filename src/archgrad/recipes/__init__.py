"""Named compositions of the parts, one short file a paper: the only place that knows all parts."""
