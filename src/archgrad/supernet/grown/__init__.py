"""What a grown supernet takes over from the one before."""
