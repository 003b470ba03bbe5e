"""Evaluations with known faults, which use ordinary loaders."""
