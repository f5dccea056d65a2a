"""Features on disk: journals of finished work, complete outputs, and reading them back."""
