"""Image iterators: each row carries its number in the iterator's list of files, and the file."""

import numpy as np
import pytest
import tf_keras
from keras.src.legacy.preprocessing.image import ImageDataGenerator

from evalguard.capture.contract import BatchTag, Untagged
from evalguard.capture.probes import KERAS3, TF_KERAS, probe_for
from evalguard.capture.probes.base import PassiveProbe
from evalguard.capture.probes.generators import IteratorProbe
from evalguard.capture.probes.image_iterators import FilesOfRows, ImageIteratorProbe, ImageSequenceProbe, IndexSlices

FILES = np.array(["a.png", "b.png", "c.png"], dtype=object)


class Stated(Untagged):
    """A stream in which each batch states these samples."""

    def __init__(self, samples):
        self.samples = None if samples is None else np.array(samples)

    def identify(self, data):
        return data, BatchTag(4, self.samples)


@pytest.mark.parametrize(
    ("samples", "keys", "kept"),
    [
        pytest.param([2, 0], ["c.png", "a.png"], [2, 0], id="of the list"),
        pytest.param(None, None, None, id="not stated"),
        pytest.param([0, -1], None, None, id="before the list"),
        pytest.param([0, 3], None, None, id="after the list"),
    ],
)
def test_rows_have_the_file_of_their_sample_and_no_identity_without_one(samples, keys, kept):
    batch, tag = FilesOfRows(Stated(samples), FILES).identify("batch")
    assert (batch, tag.number) == ("batch", 4)
    assert (None if tag.keys is None else tag.keys.tolist()) == keys
    assert (None if tag.samples is None else tag.samples.tolist()) == kept


def test_the_rest_is_that_of_the_stream_below():
    class Changed(Stated):
        def without_tag(self, data):
            return data[0]

        def intact(self):
            return [False]

    stream = FilesOfRows(Changed([0]), FILES)
    assert (stream.without_tag(("x", "tag")), stream.intact()) == ("x", [False])


def of_arrays(**options):
    return ImageDataGenerator().flow(np.zeros((5, 4, 4, 3), "float32"), np.arange(5), batch_size=2, **options)


def test_samples_are_read_where_the_iterator_reads_them():
    iterator = of_arrays(seed=3)
    slices = IndexSlices(iterator)
    for item in (0, 2, 1):
        _, y = iterator[item]
        assert slices(item).tolist() == y.tolist()


@pytest.mark.filterwarnings("ignore:Your `PyDataset` class should call:UserWarning")
def test_an_iterator_of_arrays_states_samples_and_lists_no_files():
    iterator = of_arrays(shuffle=False)
    probe = probe_for(iterator)(iterator, {})
    assert isinstance(probe, ImageIteratorProbe)
    assert (probe.kind, probe.index_source) == ("pydataset", "stated")
    batch, tag = probe.stream.identify(probe.source[1])
    assert batch[1].tolist() == tag.samples.tolist() == [2, 3]
    assert tag.keys is None


def test_an_iterator_of_the_other_keras_is_what_this_one_takes_it_for():
    other = tf_keras.preprocessing.image.ImageDataGenerator().flow(np.zeros((5, 4, 4, 3), "float32"))
    assert probe_for(of_arrays(), KERAS3) is ImageIteratorProbe
    assert probe_for(other, TF_KERAS) is ImageSequenceProbe
    assert probe_for(of_arrays(), TF_KERAS) is IteratorProbe
    assert probe_for(other, KERAS3) is PassiveProbe
