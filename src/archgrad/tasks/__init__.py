"""What is learnt: the data with its splits and batches, and the task with its loss and metrics."""
