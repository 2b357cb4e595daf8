"""Everything that leaves one node of a cell, as one autograd function."""
