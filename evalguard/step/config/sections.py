"""The kinds of models and labels that a step file can name. Docstrings and descriptions are part of its reference."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

FUNCTION = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$"
Function = Annotated[str, Field(pattern=FUNCTION, description="A function, as `module:function`.")]
Name = Annotated[str, Field(min_length=1, max_length=100)]
Text = Annotated[str, Field(min_length=1)]
Positive = Annotated[int, Field(gt=0)]


class Strict(BaseModel):
    """A section: no unknown keys, no conversion between types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Call(Strict):
    """A function that returns the object, called with `args` as keyword arguments."""

    call: Function
    args: dict[str, Any] = {}


CustomObjects = Annotated[
    list[Function] | dict[Text, Function] | None,
    Field(
        description="Your own layers, losses and functions in the model: a list of `module:name`, whose modules are "
        "imported and may register them, or a mapping from the name in the model."
    ),
]


class ModelPath(Strict):
    """A `.keras` or `.h5` file, or the folder of a SavedModel (run by a `TFSMLayer`)."""

    path: Text
    endpoint: Text | None = Field(
        default=None, description="Endpoint of a SavedModel; default: `serve` or `serving_default`."
    )
    safe_mode: bool = Field(default=True, description="Refuse a `.keras` file that holds code (a `Lambda` layer).")
    custom_objects: CustomObjects = None


class ModelUri(Strict):
    """A model in MLflow: `models:/NAME/VERSION`, `models:/NAME@ALIAS`, `models:/m-…`, `runs:/RUN/PATH`."""

    uri: Annotated[str, Field(pattern=r"^(models|runs):/.+")]
    custom_objects: CustomObjects = None


class LabelFile(Strict):
    """A CSV, Parquet, JSONL, Arrow or `.npy` file, or a manifest of `Labels.save`; its rows are the label order."""

    path: Text
    label: Text | dict[str, Text] | None = Field(
        default=None, description="Column with the labels, or a column for each output of the model."
    )
    key: Text | None = Field(default=None, description="Column with the key of each sample.")
    sample_weight: Text | None = Field(default=None, description="Column with the sample weight of each label.")


class LabelFolders(Strict):
    """The class folders of an image directory: label k for the k-th class, in the order of the file names."""

    image_directory: Text
    class_names: list[Text] | None = Field(
        default=None, description="Folders in the order of their labels; default: by name."
    )


class LabelStream(Strict):
    """The stream's own y, collected together with the inputs in a separate pass."""

    from_: Literal["stream"] = Field(alias="from")
