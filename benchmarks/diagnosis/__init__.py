"""Which cause a report names first, measured on evaluations that really run.

Each kind of fault is one that users report: real sources, tiny Keras models, label files. The cause that is right
stands beside the kind. Nothing here reads the recognisers of ``evalguard.core.diagnosis``.
"""
