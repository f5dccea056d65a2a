"""Features on disk: finished work made durable, put together, and read back."""
