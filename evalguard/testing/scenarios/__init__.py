"""Evaluations that go wrong in known ways, made with an ordinary loader."""
