"""Classes with names, labels of them, and a model that returns its input."""

from functools import cache

import keras
import numpy as np
import tensorflow as tf

import evalguard

NAMES = ["bird", "cat", "dog", "emu"]
N = 120
NUMBERS = np.arange(N) * 37 % 101 % 4
TEXT = np.asarray(NAMES)[NUMBERS]
# What a model returns that is right in most rows: the model of these tests returns its input.
SCORES = np.random.default_rng(3).random((N, 4)).astype("float32") + np.eye(4, dtype="float32")[NUMBERS] * 0.8


@cache
def echo(columns=4):
    inputs = keras.Input((columns,))
    return keras.Model(inputs, keras.layers.Identity()(inputs))


def stream(y, scores=SCORES):
    return tf.data.Dataset.from_tensor_slices((scores, y)).batch(32)


def guarded(labels, x=SCORES, model=None, act=None, **options):
    with evalguard.guard(labels=labels, on_failure="record", on_unproven="record", mlflow=False, **options) as g:
        predictions = (model or echo()).predict(x, verbose=0)
        if act is not None:
            act(g, predictions)
    return g


def reasons(g):
    return [finding.reason for finding in g.report.findings]


def named_stream(y, names):
    dataset = stream(y)
    dataset.class_names = names
    return dataset
