"""Random, weak and renumbered classifiers: how often they seem to number the classes otherwise.

    python -m tests.guards.classifiers 1000

prints how many of so many of each kind raise the hazard. None of the random, weak and good ones may; most of those
that are good but for their numbers should. Exit status: 0 if no hazard is false.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from evalguard.guards.other_numbers import confusion, other_numbers, predicted_numbers

Rng = np.random.Generator
# Which class is predicted in what share of a class's rows: shape (classes, classes), by label and prediction.
Shares = Any


def labels_of(rng: Rng, classes: int, rows: int) -> Any:
    """Labels, most often imbalanced; now and then without some of the classes."""
    weights = rng.dirichlet(np.full(classes, rng.choice([0.3, 1, 5, 1000])))
    if classes > 2 and rng.random() < 0.3:
        weights[rng.permutation(classes)[: rng.integers(1, classes - 1)]] = 0
        weights = weights / weights.sum() if weights.sum() > 0 else np.full(classes, 1 / classes)
    return rng.choice(classes, rows, p=weights)


def random_shares(rng: Rng, classes: int) -> Shares:
    """What is predicted does not depend on the label: evenly, by preference, or one class only."""
    preference = rng.dirichlet(np.full(classes, rng.choice([0.01, 0.1, 1, 100])))
    return np.tile(preference, (classes, 1))


def weak_shares(rng: Rng, classes: int) -> Shares:
    """Better than chance, at times by little: pairs that are confused, classes that are never predicted, a bias."""
    shares = np.eye(classes) * rng.uniform(0.02, 0.7, (classes, 1)) + random_shares(rng, classes) * rng.uniform(0.2, 1)
    for _ in range(rng.integers(0, classes // 2 + 1)):
        # One of a pair is mostly taken for the other one, which stays itself.
        one, other = rng.choice(classes, 2, replace=False)
        shares[one] = shares[one] * 0.3
        shares[one, other] += rng.uniform(0.3, 2)
        shares[other, other] += rng.uniform(0.3, 2)
    if classes > 2 and rng.random() < 0.3:
        # Some classes are never predicted.
        shares[:, rng.permutation(classes)[: classes // 2]] *= 0.02
    if rng.random() < 0.3:
        # Grades that are mostly one too high.
        upper = np.minimum(np.arange(classes) + 1, classes - 1)
        shares[np.arange(classes), upper] += rng.uniform(0, 0.8)
    return shares / shares.sum(axis=1, keepdims=True)


def good_shares(rng: Rng, classes: int) -> Shares:
    """Each class right in 70 to 99 % of its rows."""
    right = rng.uniform(0.7, 0.99, (classes, 1))
    rest = rng.dirichlet(np.ones(classes), classes) * (1 - np.eye(classes))
    return np.eye(classes) * right + (1 - right) * rest / np.maximum(rest.sum(axis=1, keepdims=True), 1e-9)


def renumbered_shares(rng: Rng, classes: int) -> Shares:
    """The same, with the numbers of all classes moved on, or of some exchanged."""
    order = np.roll(np.arange(classes), rng.integers(1, classes)) if rng.random() < 0.5 else rng.permutation(classes)
    if (order == np.arange(classes)).all():
        order = order[::-1]
    return good_shares(rng, classes)[:, order]


def outputs_of(rng: Rng, shares: Shares, labels: Any) -> Any:
    """What the model returns: a softmax of which the largest is drawn, one sigmoid for two classes, or numbers."""
    classes = len(shares)
    steps = shares.cumsum(axis=1)[labels]
    predicted = np.minimum((rng.random((len(labels), 1)) > steps).sum(axis=1), classes - 1)
    form = rng.choice(["softmax", "numbers", "sigmoid", "degenerate"], p=[0.6, 0.15, 0.2, 0.05])
    if form == "sigmoid" and classes == 2:
        return (predicted * 0.5 + rng.random(len(labels)) * 0.4999).astype("float32")[:, None]
    if form == "numbers":
        return predicted[:, None].astype("float32")
    scores = rng.random((len(labels), classes)).astype("float32")
    scores[np.arange(len(labels)), predicted] += 1
    if form == "degenerate":
        # Logits too large for float32: most rows are the same or have no number.
        scores[rng.random(len(labels)) < 0.7] = np.nan
        return scores
    return scores / scores.sum(axis=1, keepdims=True)


def seems_otherwise(rng: Rng, shares_of: Callable[[Rng, int], Shares], rows: int = 0) -> bool:
    """Whether one classifier of this kind raises the hazard."""
    classes = int(rng.integers(2, 21))
    labels = labels_of(rng, classes, rows or int(np.exp(rng.uniform(np.log(20), np.log(5000)))))
    output = outputs_of(rng, shares_of(rng, classes), labels)
    predicted = predicted_numbers(output, int(labels.max()) + 1)
    counts = None if predicted is None else confusion(predicted, labels)
    return counts is not None and other_numbers(counts) is not None


def count(shares_of: Callable[[Rng, int], Shares], trials: int, seed: int = 0) -> int:
    """How many of so many classifiers raise it."""
    return sum(seems_otherwise(np.random.default_rng([seed, trial]), shares_of) for trial in range(trials))


def main(trials: int) -> int:
    """Print the counts."""
    random, weak, good, renumbered = (
        count(shares_of, trials) for shares_of in (random_shares, weak_shares, good_shares, renumbered_shares)
    )
    print(
        f"hazards: {random} of {trials:,} random classifiers, {weak} of {trials:,} weak ones, {good} of {trials:,} good"
    )
    print(f"found: {renumbered} of {trials:,} good classifiers with renumbered classes")
    return int(random + weak + good > 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
