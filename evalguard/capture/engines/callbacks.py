"""The methods that Keras calls on a callback, without a Keras base class, so that one object works with both Kerases.

Keras 3 (3.15, ``callbacks/callback_list.py``) and tf_keras (2.21, ``callbacks.py``) call these by
name. ``tests/guards/test_fit_callback.py`` compares the names with those of both classes.
"""

from __future__ import annotations

from typing import Any


class Hooks:
    """A callback that does nothing.

    Attributes:
        async_safe: Keras 3 may call the batch hooks of other callbacks from a thread.
    """

    # If one callback has its own batch hook and lacks this, Keras calls the batch hooks of all callbacks synchronously
    # (keras 3.15, callbacks/callback_list.py:69).
    async_safe = True

    def set_params(self, params: Any) -> None:
        """Not needed."""

    def set_model(self, model: Any) -> None:
        """Not needed."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Not needed."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Not needed."""

    def on_train_begin(self, logs: Any = None) -> None:
        """Not needed."""

    def on_train_end(self, logs: Any = None) -> None:
        """Not needed."""

    def _whole(self, logs: Any = None) -> None:
        """Not needed."""

    def _batch(self, batch: int, logs: Any = None) -> None:
        """Not needed."""

    # Aliases: Keras calls every hook of every callback, and a subclass here overrides only a few.
    on_test_begin = on_test_end = on_predict_begin = on_predict_end = _whole
    on_train_batch_begin = on_train_batch_end = on_test_batch_begin = on_test_batch_end = _batch
    on_predict_batch_begin = on_predict_batch_end = on_batch_begin = on_batch_end = _batch

    def _no_batch_hooks(self) -> bool:
        """Return False: tf_keras need not call the batch hooks, nor compute logs for them."""
        return False

    # If no callback returns True here, tf_keras calls no batch hooks (tf_keras 2.21, callbacks.py:251,
    # `_should_call_train_batch_hooks`).
    _implements_train_batch_hooks = _implements_test_batch_hooks = _implements_predict_batch_hooks = _no_batch_hooks
