"""A single batch that the caller passes: ``predict_on_batch``, ``test_on_batch``."""

from __future__ import annotations

from typing import Any

from evalguard.capture.buffer_reuse import RehashedBatches
from evalguard.capture.contract import Untagged
from evalguard.capture.probes.base import Probe


class BatchProbe(Probe):
    """Adds no tag, because the model receives the batch that was passed. Only content or keys identify its samples."""

    # Keras pulls nothing here: the batch goes to `predict_function` as `[(x,)]` (keras 3.15,
    # backend/tensorflow/trainer.py:660).
    kind = "batch"

    def __init__(self, source: Any, call: dict[str, Any]) -> None:
        super().__init__(source, call)
        # Hashed twice, because Keras 3 reads an array only after it has traced the model.
        self.stream = RehashedBatches(Untagged())
