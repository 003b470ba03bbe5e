"""Read external labels, and the reference inputs in their order."""
