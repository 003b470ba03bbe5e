"""External labels, and reference inputs in label order."""
