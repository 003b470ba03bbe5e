"""Open the data, labels and reference that a step file names."""
