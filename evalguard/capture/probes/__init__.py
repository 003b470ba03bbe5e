"""One probe per kind of source: how its batches are tagged, and what is known of its state and history.

A probe never requests anything from a source that Keras would not request.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from evalguard.capture.probes.base import Probe
from evalguard.data import kinds
from evalguard.errors import UnsupportedSourceError

Predicate = Callable[[object], bool]
ProbeTable = tuple[tuple[Predicate, str], ...]


# Not `is_image_iterator` alone: those of the other Keras are refused like any source that it does not know.
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
    # Last: Keras checks torch and grain loaders before generators, but none of these is a generator.
    (kinds.is_untaggable, "evalguard.capture.probes.base:PassiveProbe"),
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
    """The probe class for a source.

    Args:
        source: What the caller passed as ``x``.
        table: ``KERAS3`` or ``TF_KERAS``.

    Raises:
        UnsupportedSourceError: No probe knows this type.
    """
    for predicate, path in table:
        if predicate(source):
            module, _, name = path.partition(":")
            probe: type[Probe] = getattr(importlib.import_module(module), name)
            return probe
    msg = (
        f"no probe for {type(source).__qualname__}; supported: arrays and trees of them, PyDataset, generators, "
        "tf.data.Dataset. Pass sample indices or keys to evalguard.check() for anything else."
    )
    raise UnsupportedSourceError(msg)
