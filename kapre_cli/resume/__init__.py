"""Work that a later run can reuse: journals, the work folder, previous results."""
