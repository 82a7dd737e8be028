"""Short compositions of library calls, each doing a whole task from end to end."""
