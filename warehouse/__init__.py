"""rarecall."""
