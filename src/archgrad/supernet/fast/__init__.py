"""The fast evaluation of image cells: the reference's numbers with few, large kernels."""
