"""`davae run`."""
