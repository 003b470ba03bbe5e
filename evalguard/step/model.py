"""Load the model that a step file names."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from evalguard.data.digests import path_sha256
from evalguard.errors import ConfigError
from evalguard.step.config.sections import Call, ModelPath, ModelUri
from evalguard.step.config.unions import Model
from evalguard.step.imports import call_function, import_by_name
from evalguard.tracking.client import redacted_uri

TRACKING_URI = "MLFLOW_TRACKING_URI"
# Error texts of Keras 3.15 for an unknown class or function (serialization_lib.py, legacy/serialization.py).
_UNKNOWN = re.compile(r"(?:Could not locate \w+ |Unknown \w+: )'(?:[^'>]*>)?(?P<name>\w+)'")
_MODULE = re.compile(r"Full object config: \{'module': '(?P<module>[\w.]+)'")


def open_model(model: Model, base: Path, store: str | None = None) -> tuple[Any, str]:
    """Load the model, and return it with the SHA-256 of its folder in MLflow, empty for any other model.

    Args:
        model: The section of the step file.
        base: Folder to which paths are relative.
        store: Tracking URI of MLflow's store, if the file names one.

    Raises:
        ConfigError: The model cannot be loaded, or is not a Keras model.
    """
    digest = ""
    if isinstance(model, Call):
        loaded = call_function(model, "model")
    else:
        with _known(model):
            if isinstance(model, ModelUri):
                loaded, digest = _of_mlflow(model.uri, store)
            else:
                loaded = _of_path(model, base / model.path)
    if not callable(getattr(loaded, "predict", None)) or not callable(getattr(loaded, "make_predict_function", None)):
        msg = f"model: expected a Keras model, found {type(loaded).__module__}.{type(loaded).__qualname__}"
        raise ConfigError(msg)
    return loaded, digest


def _known(model: ModelPath | ModelUri) -> AbstractContextManager[object]:
    """A context in which Keras knows the custom objects that the section names."""
    objects = import_by_name(model.custom_objects, "model.custom_objects")
    if not objects:
        return contextlib.nullcontext()
    import keras

    scope: AbstractContextManager[object] = keras.saving.custom_object_scope(objects)
    return scope


def remedy(error: Exception) -> str:
    """A message with the line of the step file that fixes an unknown class; empty for any other error."""
    said = str(error)
    unknown = _UNKNOWN.search(said)
    if unknown is None:
        return ""
    module = _MODULE.search(said, unknown.end())
    name = module["module"] if module is not None and module["module"] != "builtins" else "your_module"
    return (
        f"the model holds {unknown['name']!r}, which Keras does not know; name its module: "
        f"model.custom_objects: ['{name}:{unknown['name']}']"
    )


def _of_path(model: ModelPath, path: Path) -> Any:
    if not path.exists():
        msg = f"model.path: expected a model at {path}, found none there"
        raise ConfigError(msg)
    if path.is_dir():
        if model.custom_objects:
            msg = f"model.custom_objects: expected a .keras or .h5 file for it, found the folder {path}"
            raise ConfigError(msg)
        return _saved_model(model, path)
    if model.endpoint is not None:
        msg = f"model.endpoint: expected the folder of a SavedModel for it, found the file {path}"
        raise ConfigError(msg)
    import keras

    try:
        return keras.saving.load_model(path, safe_mode=model.safe_mode)
    except Exception as error:
        # Every exception, because a damaged or foreign file can make Keras raise any error.
        msg = f"model.path: {path} could not be loaded by Keras {keras.__version__}: {remedy(error) or error}"
        raise ConfigError(msg) from error


def _saved_model(model: ModelPath, path: Path) -> Any:
    """A Keras model that calls a SavedModel, with the inputs of its signature."""
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
    # `model.export()` returns the outputs unchanged under `serve`, and as a dict under the signature.
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
        msg = (
            f"model.endpoint: the endpoint {endpoint!r} of {path} could not be called: {error}; "
            "load the model by a function (model.call)"
        )
        raise ConfigError(msg) from error


def _of_mlflow(uri: str, store: str | None) -> tuple[Any, str]:
    import mlflow

    asked = store or mlflow.get_tracking_uri()
    try:
        with _tracking_store(store):
            flavors = mlflow.models.get_model_info(uri).flavors
            flavor = next((name for name in ("keras", "tensorflow") if name in flavors), None)
            if flavor is not None:
                # What is loaded is what was hashed: an alias may move between two downloads.
                folder = mlflow.artifacts.download_artifacts(artifact_uri=uri)
                digest = path_sha256(folder)
                return getattr(mlflow, flavor).load_model(folder), digest
    except Exception as error:
        msg = f"model.uri: {uri} could not be loaded from {redacted_uri(asked)}: {remedy(error) or error}"
        raise ConfigError(msg) from error
    msg = f"model.uri: expected a model of MLflow's keras or tensorflow flavour, found {', '.join(flavors)}"
    raise ConfigError(msg)


@contextlib.contextmanager
def _tracking_store(store: str | None) -> Iterator[None]:
    """Let MLflow use this store during the block; then restore its state and the environment."""
    if store is None:
        yield
        return
    # `load_model` has no parameter for a tracking URI, and the public API cannot return what was set before
    # `set_tracking_uri`.
    from mlflow.tracking._tracking_service.utils import _use_tracking_uri

    before = os.environ.get(TRACKING_URI)
    try:
        with _use_tracking_uri(store):
            yield
    finally:
        os.environ.pop(TRACKING_URI, None)
        if before is not None:
            os.environ[TRACKING_URI] = before
