"""What the installed Keras is, for tests of things that older releases do otherwise."""

import keras

KERAS = tuple(int(part) for part in keras.__version__.split(".")[:2])
