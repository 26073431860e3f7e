"""`davae eval`."""
