"""A single batch that the caller passes: ``predict_on_batch``, ``test_on_batch``."""

from __future__ import annotations

from evalguard.capture.probes.base import Probe


class BatchProbe(Probe):
    """Adds no tag: the batch passed is the batch fed. Only content or keys can identify its samples."""

    # Keras pulls nothing here: the batch goes to `predict_function` as `[(x,)]` (keras 3.15,
    # backend/tensorflow/trainer.py:660).
    kind = "batch"
