"""Image sources and the crops drawn from them."""
