"""The supernet of recurrent cells, for language and forecasting."""
