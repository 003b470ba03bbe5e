"""Worked examples; run them from the project's root."""
