"""Output formats: metadata, readers and writers."""
