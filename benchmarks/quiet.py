"""TensorFlow without the lines that it writes to the terminal when it starts."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


def load_frameworks() -> None:
    """Import Keras and tf_keras; what TensorFlow has to say of it is seen only if that fails."""
    # Level 3 alone leaves four lines: what is logged before absl's InitializeLog goes to descriptor 2 at any level.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _held_back():
        for name in ("keras", "tensorflow", "tf_keras"):
            importlib.import_module(name)


@contextmanager
def _held_back() -> Iterator[None]:
    """Hold back what is written to descriptor 2, by C++ as well; write it if the block raises."""
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        except BaseException:
            file.seek(0)
            os.write(terminal, file.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
