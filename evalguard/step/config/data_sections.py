"""The kinds of data that a step file can name. Docstrings and descriptions are part of its reference."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from evalguard.step.config.sections import Positive, Strict, Text

Size = Annotated[list[Positive], Field(min_length=2, max_length=2, description="Height and width, in pixels.")]
Scale = Annotated[
    float | Annotated[str, Field(pattern=r"^\d+(\.\d+)?/\d*[1-9]\d*(\.\d+)?$")],
    Field(description="Factor for each pixel value: a number, or a fraction such as `1/255`."),
]
ColorMode = Literal["grayscale", "rgb", "rgba"]
Interpolation = Literal["bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", "mitchellcubic"]
Number = Literal["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"]
Dtype = Literal["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool", "string"]


class Arrays(Strict):
    """A `.npy` or `.npz` file with the inputs as arrays. Row i is sample i, unless there is a key."""

    arrays: Text
    inputs: list[Text] | None = Field(
        default=None, description="Arrays of the `.npz` that are the inputs of the model; default: x."
    )
    key: Text | None = Field(default=None, description="Array of the `.npz` with the key of each sample.")
    target: Text | None = Field(default=None, description="Array of the `.npz` to pass as y.")


class Table(Strict):
    """A CSV, Parquet, JSONL or Arrow file of features. Row i is sample i, unless there is a key."""

    table: Text
    columns: list[Text] | dict[str, list[Text]] | None = Field(
        default=None, description="Feature columns, or columns by model input; default: all except key and target."
    )
    dtype: Number = "float32"
    key: Text | None = Field(default=None, description="Column with the key of each sample.")
    target: Text | None = Field(default=None, description="Column to pass as y.")


class _Pixels(Strict):
    size: Size | None = Field(
        default=None, description="Images are resized to this size; without it, all must have the same size."
    )
    color_mode: ColorMode = "rgb"
    rescale: Scale | None = None
    offset: float = Field(default=0.0, description="Added to each pixel value after `rescale`.")
    interpolation: Interpolation = "bilinear"


class Images(_Pixels):
    """A table that lists image files (CSV, Parquet, JSONL or Arrow); the key is the listed file name, or a column."""

    images: Text
    column: Text = Field(default="file", description="Column with the file names.")
    root: Text | None = Field(
        default=None, description="Folder to which the file names are relative; default: the table's folder."
    )
    key: Text | None = Field(
        default=None, description="Column with the key of each sample; default: the file name as listed."
    )
    target: Text | None = Field(default=None, description="Column to pass as y.")


class ImageDirectory(_Pixels):
    """A folder of image files, or of one folder for each class; a sample's key is its file's path below that folder."""

    image_directory: Text


class Feature(Strict):
    """One feature of a TFRecord example."""

    dtype: Dtype = "float32"
    shape: list[Annotated[int, Field(ge=0)]] = []  # noqa: RUF012 - pydantic copies a default
    encoding: Literal["values", "image", "raw"] = Field(
        default="values",
        description="`image`: encoded bytes (PNG, JPEG); `raw`: the bytes of an array of `dtype` and `shape`.",
    )
    size: Size | None = None
    color_mode: ColorMode = "rgb"
    rescale: Scale | None = None


class TFRecord(Strict):
    """TFRecord files of `tf.train.Example`s."""

    tfrecord: Text | Annotated[list[Text], Field(min_length=1)] = Field(
        description="File, pattern such as `part-*.tfrecord`, or a list of them, in reading order (a pattern: by name)."
    )
    features: dict[str, Feature]
    inputs: Annotated[list[Text], Field(min_length=1)] = Field(description="Features that are the inputs of the model.")
    key: Text | None = Field(
        default=None, description="Feature with the key of each sample; needs no entry in `features`."
    )
    target: Text | None = Field(default=None, description="Feature to pass as y.")
    compression: Literal["", "GZIP", "ZLIB"] = ""
