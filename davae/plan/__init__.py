"""`davae plan`."""
