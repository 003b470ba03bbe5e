"""One probe for each kind of source: it tags the batches, and reads the state and history of the source.

A probe never requests anything from a source that Keras would not request.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from evalguard.capture.probes.base import PassiveProbe, Probe
from evalguard.data import kinds

Predicate = Callable[[object], bool]
ProbeTable = tuple[tuple[Predicate, str], ...]


# Not `is_image_iterator` alone, because each Keras treats the image iterators of the other as an unknown source.
def _is_image_pydataset(source: object) -> bool:
    return kinds.is_pydataset(source) and kinds.is_image_iterator(source)


def _is_image_sequence(source: object) -> bool:
    return kinds.is_sequence(source) and kinds.is_image_iterator(source)


# First match wins; the order is that of keras.src.trainers.data_adapters.get_data_adapter
# (keras 3.15): arrays before datasets before PyDatasets.
KERAS3: ProbeTable = (
    (kinds.is_arrays, "evalguard.capture.probes.arrays:ArraysProbe"),
    (kinds.is_tf_dataset, "evalguard.capture.probes.tf_data:TfDataProbe"),
    (_is_image_pydataset, "evalguard.capture.probes.image_iterators:ImageIteratorProbe"),
    (kinds.is_pydataset, "evalguard.capture.probes.pydataset:PyDatasetProbe"),
    (kinds.is_generator, "evalguard.capture.probes.generators:GeneratorProbe"),
)
# tf_keras has Sequence instead and accepts any iterator. Untaggable sources first: some have `__next__`, too.
TF_KERAS: ProbeTable = (
    (kinds.is_arrays, "evalguard.capture.probes.arrays:ArraysProbe"),
    (kinds.is_tf_dataset, "evalguard.capture.probes.tf_data:TfDataProbe"),
    (_is_image_sequence, "evalguard.capture.probes.image_iterators:ImageSequenceProbe"),
    (kinds.is_sequence, "evalguard.capture.probes.pydataset:SequenceProbe"),
    (kinds.is_untaggable, "evalguard.capture.probes.base:PassiveProbe"),
    (kinds.is_iterator, "evalguard.capture.probes.generators:IteratorProbe"),
)


def probe_for(source: object, table: ProbeTable = KERAS3) -> type[Probe]:
    """The probe class for a source; ``PassiveProbe`` for an unknown kind.

    Args:
        source: What the caller passed as ``x``.
        table: ``KERAS3`` or ``TF_KERAS``.
    """
    for predicate, path in table:
        if predicate(source):
            module, _, name = path.partition(":")
            probe: type[Probe] = getattr(importlib.import_module(module), name)
            return probe
    return PassiveProbe
