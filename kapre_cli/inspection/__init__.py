"""Looking at what was written: what is in an output, whether it is right, how two differ."""
