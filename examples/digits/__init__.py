"""Handwritten digits through the guard: PNG files in, labels in a CSV beside them."""
