"""Traces with a chosen set of evidence, and labels that match them."""

from typing import Any

import numpy as np

from evalguard.core.judge import judge
from evalguard.core.label_table import LabelTable
from evalguard.core.policy import Policy
from evalguard.core.trace import ROW_BITS, UNKNOWN, Trace

IDENTITIES = ("content", "key", "index", "position")
EVIDENCE = (*IDENTITIES, "targets", "tags", "rows")
N = 7
ALIGNED = list(range(N))
SWAPPED = [0, 1, 2, 3, 5, 4, 6]


def label_of(samples):
    """Three classes, not sorted."""
    return np.asarray(samples) * 37 % 101 % 3


def content_of(samples):
    """Fingerprints of rows; foreign rows have other contents than any sample."""
    return (np.asarray(samples) + 1000).astype(np.uint64)


def tags_of(samples, batch=3):
    rows = np.arange(len(samples))
    return (rows // batch << ROW_BITS) + rows % batch


def labels_for(n, evidence=EVIDENCE):
    return LabelTable(
        values=label_of(range(n)),
        keys=np.asarray([f"id{sample}" for sample in range(n)]) if "key" in evidence else None,
        fingerprints=content_of(range(n)) if "content" in evidence else None,
    )


def trace_of(samples, evidence, **parts):
    """A trace of these samples with exactly the named evidence."""
    samples = np.asarray(samples, dtype=np.int64)
    given_index = "index" in evidence or "position" in evidence
    values: dict[str, Any] = {
        "tags": tags_of(samples) if "tags" in evidence else np.full(len(samples), UNKNOWN),
        "index": samples if given_index else None,
        "index_source": "stated" if "index" in evidence else "position",
        "keys": np.asarray([f"id{sample}" for sample in samples.tolist()]) if "key" in evidence else None,
        "fingerprints": content_of(samples) if {"content", "rows"} & set(evidence) else None,
        "targets": label_of(samples) if "targets" in evidence else None,
        **parts,
    }
    return Trace(len(samples), **values)


def verdict_of(trace, labels, **options):
    return judge(trace, labels, Policy(**options)).report.verdict
