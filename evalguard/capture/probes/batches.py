"""One batch handed over by itself: ``predict_on_batch``, ``test_on_batch``."""

from __future__ import annotations

from evalguard.capture.probes.base import Probe


class BatchProbe(Probe):
    """Nothing to tag: what is handed over is what is fed. Which sample it is, only its content or key can say."""

    kind = "batch"
