"""Open the ``data:`` section of a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from evalguard.step.config.data_sections import Arrays, ImageDirectory, Images, Table, TFRecord
from evalguard.step.config.sections import Call
from evalguard.step.config.unions import Data
from evalguard.step.imports import call_function
from evalguard.step.inputs.images import open_image_directory, open_images
from evalguard.step.inputs.in_memory import open_arrays, open_table
from evalguard.step.inputs.stream import InputContext, InputStream
from evalguard.step.inputs.tfrecord import open_tfrecord


def open_data(data: Data, context: InputContext) -> InputStream:
    """The stream that a ``data`` section describes.

    Raises:
        ConfigError: The data cannot be opened.
    """
    if isinstance(data, Call):
        return InputStream(call_function(data, context.where), ours=False)
    makers: Mapping[type, Callable[[Any, InputContext], InputStream]] = {
        Arrays: open_arrays,
        Table: open_table,
        Images: open_images,
        ImageDirectory: open_image_directory,
        TFRecord: open_tfrecord,
    }
    return makers[type(data)](data, context)
