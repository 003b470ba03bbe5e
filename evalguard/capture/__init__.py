"""Observe what a model receives: batches are tagged or digested at the source, and recorded just before the model."""
