"""What guarding took in memory and on disk, as reports tell it."""

from __future__ import annotations

from collections.abc import Sequence

from evalguard.core.columns.storage import Memory
from evalguard.core.trace import Trace


def bytes_of(traces: Sequence[Trace]) -> dict[str, int]:
    """What the traces take: in memory, and on disk where they are beyond ``trace_memory``."""
    spilled = sum(trace.n_bytes_on_disk for trace in traces)
    return {"bytes": sum(trace.n_bytes for trace in traces), **({"spilled_bytes": spilled} if spilled else {})}


def not_on_disk(memories: Sequence[Memory]) -> tuple[str, ...]:
    """What to say where a disk did not take what is beyond ``trace_memory``."""
    problem = next((memory.problem for memory in memories if memory.problem), "")
    return (f"rows beyond trace_memory stayed in memory, for no temporary file took them ({problem})",) * bool(problem)
