"""What is known of where labels came from stays with them."""

from dataclasses import replace

import numpy as np

from evalguard import Labels
from evalguard.core.label_origin import LabelOrigin


def test_labels_without_a_table_have_no_terms():
    assert Labels.of([0, 1]).origin.key_column == ""
    assert LabelOrigin().terms == {}
    assert LabelOrigin().row_lengths is None


def test_the_column_of_the_keys_is_known(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("file,label\na,0\nb,1\n")
    labels = Labels.read(path, label="label", key="file")
    assert labels.origin.key_column == "file"
    assert replace(labels, fingerprints=np.array([1, 2], np.uint64)).origin is labels.origin
    assert Labels.read(path, label="label").origin.key_column == ""
