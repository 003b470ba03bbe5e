"""Keys that are kept elsewhere, for the tests of what reads them."""

import numpy as np

from evalguard.core.judge import judge
from evalguard.core.label_digest import as_integers
from evalguard.core.label_table import KeyColumn, LabelTable
from evalguard.core.policy import Policy
from evalguard.core.trace import FOREIGN, UNKNOWN, Trace


class Kept(KeyColumn):
    """Keys of an array behind the few methods that a column of keys has."""

    def __init__(self, keys):
        self.keys = np.asarray(keys)
        self.dtype, self.shape = self.keys.dtype, self.keys.shape

    def __len__(self):
        return len(self.keys)

    def __getitem__(self, rows):
        return self.keys[rows]

    def __array__(self, dtype=None, copy=None):
        return self.keys if dtype is None else self.keys.astype(dtype)

    def empty(self):
        return np.flatnonzero(self.keys.astype(str) == "")

    def repeated(self):
        unique, counts = np.unique(self.keys, return_counts=True)
        twice = unique[counts > 1]
        return (len(twice), twice[0], np.flatnonzero(self.keys == twice[0])) if len(twice) else None

    def in_order(self):
        keys = as_integers(self.keys)
        order = np.argsort(keys)
        return keys.dtype.kind == "i", iter([(keys[order[:1]], order[:1]), (keys[order[1:]], order[1:])])

    def equals(self, other):
        return self.keys.tolist() == other.keys.tolist()

    def rows_in(self, other):
        known = other.keys.tolist()
        return np.array([known.index(key) if key in known else FOREIGN for key in self.keys.tolist()], dtype=np.int64)


def report(keys, label_keys, kind):
    trace = Trace(len(keys), np.full(len(keys), UNKNOWN), keys=kind(keys), method="check")
    labels = LabelTable(values=np.zeros(len(label_keys)), keys=kind(label_keys), name="labels")
    return judge(trace, labels, Policy()).report.to_dict()
