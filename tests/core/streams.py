"""Hypothesis strategies for delivered samples."""

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray


@st.composite
def streams(draw: st.DrawFn, *, max_labels: int = 12, unknown: bool = False) -> tuple[NDArray[np.int64], int]:
    """Samples of delivered rows and the number of labels: anything from aligned to nonsense."""
    n = draw(st.integers(1, max_labels))
    kind = draw(st.sampled_from(["aligned", "permuted", "edited", "wild"]))
    if kind == "wild":
        low = -2 if unknown else 0
        samples = draw(st.lists(st.integers(low, n + 3), max_size=2 * max_labels))
    else:
        samples = list(draw(st.permutations(range(n)))) if kind == "permuted" else list(range(n))
    if kind == "edited":
        samples = _edited(draw, samples)
    if unknown and samples:
        for row in draw(st.lists(st.integers(0, len(samples) - 1), max_size=3)):
            samples[row] = -1
    return np.asarray(samples, dtype=np.int64), n


def _edited(draw: st.DrawFn, samples: list[int]) -> list[int]:
    """Skips, repetitions and foreign rows put into an aligned stream."""
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(samples)))
        match draw(st.sampled_from(["skip", "repeat", "foreign", "wrap"])):
            case "skip":
                del samples[at : at + draw(st.integers(1, 3))]
            case "repeat":
                samples[at:at] = samples[max(0, at - draw(st.integers(1, 3))) : at]
            case "foreign":
                samples.insert(at, -2)
            case "wrap":
                samples += samples[: draw(st.integers(1, 3))]
    return samples
