"""The model that a step file names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evalguard.errors import ConfigError
from evalguard.step.calls import called
from evalguard.step.config import Call, Model, ModelPath, ModelUri


def open_model(model: Model, base: Path) -> Any:
    """The model.

    Raises:
        ConfigError: It cannot be loaded, or is no Keras model.
    """
    if isinstance(model, Call):
        loaded = called(model, "model")
    elif isinstance(model, ModelUri):
        loaded = _of_mlflow(model.uri)
    else:
        loaded = _of_path(model, base / model.path)
    if not callable(getattr(loaded, "predict", None)) or not callable(getattr(loaded, "make_predict_function", None)):
        msg = f"model: expected a Keras model, found {type(loaded).__module__}.{type(loaded).__qualname__}"
        raise ConfigError(msg)
    return loaded


def _of_path(model: ModelPath, path: Path) -> Any:
    if not path.exists():
        msg = f"model.path: expected a model at {path}, found none there"
        raise ConfigError(msg)
    if path.is_dir():
        return _saved_model(model, path)
    if model.endpoint is not None:
        msg = f"model.endpoint: expected the folder of a SavedModel for it, found the file {path}"
        raise ConfigError(msg)
    import keras

    try:
        return keras.saving.load_model(path, safe_mode=model.safe_mode)
    except Exception as error:
        # Whatever a foreign file makes Keras raise, it could not be loaded.
        msg = f"model.path: {path} could not be loaded by Keras {keras.__version__}: {error}"
        raise ConfigError(msg) from error


def _saved_model(model: ModelPath, path: Path) -> Any:
    """A Keras model around a SavedModel, with the inputs that its signature states."""
    import keras
    import tensorflow as tf

    if not (path / "saved_model.pb").is_file():
        msg = f"model.path: expected a .keras file or a SavedModel, found a folder without saved_model.pb: {path}"
        raise ConfigError(msg)
    try:
        saved = tf.saved_model.load(str(path))
    except Exception as error:
        msg = f"model.path: {path} could not be loaded by TensorFlow {tf.__version__}: {error}"
        raise ConfigError(msg) from error
    signatures = list(saved.signatures)
    # `model.export()` offers its outputs as they are under `serve`, as a dict under the signature.
    endpoint = model.endpoint or next((name for name in ("serve", "serving_default") if name in signatures), None)
    if endpoint not in signatures:
        msg = f"model.endpoint: expected one of {', '.join(signatures) or 'none at all'}; found {endpoint!r}"
        raise ConfigError(msg)
    specs = saved.signatures[endpoint].structured_input_signature[1]
    inputs = {name: keras.Input(spec.shape[1:], dtype=spec.dtype.name, name=name) for name, spec in specs.items()}
    fed: Any = inputs if len(inputs) > 1 else next(iter(inputs.values()))
    try:
        return keras.Model(fed, keras.layers.TFSMLayer(str(path), call_endpoint=endpoint)(fed))
    except Exception as error:
        msg = f"model.endpoint: {path} could not be called by {endpoint!r}: {error}; use model.call for it"
        raise ConfigError(msg) from error


def _of_mlflow(uri: str) -> Any:
    import mlflow

    try:
        flavors = mlflow.models.get_model_info(uri).flavors
        flavor = next((name for name in ("keras", "tensorflow") if name in flavors), None)
        if flavor is not None:
            return getattr(mlflow, flavor).load_model(uri)
    except Exception as error:
        msg = f"model.uri: {uri} could not be loaded from {mlflow.get_tracking_uri()}: {error}"
        raise ConfigError(msg) from error
    msg = f"model.uri: expected a model of MLflow's keras or tensorflow flavour, found {', '.join(flavors)}"
    raise ConfigError(msg)
