"""Proves that row i of a model's predictions is the answer to label i, or says how it broke."""

__all__: list[str] = []
