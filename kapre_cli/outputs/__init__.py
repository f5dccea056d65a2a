"""Places on the disk for what a run writes: validated, locked, published."""
