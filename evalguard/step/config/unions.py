"""The kinds of each section, distinguished by the key that names the kind, such as `path` or `call`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Discriminator, Tag

from evalguard.step.config.data_sections import Arrays, ImageDirectory, Images, Table, TFRecord
from evalguard.step.config.error_messages import ONE_OF
from evalguard.step.config.sections import Call, LabelFile, LabelFolders, LabelStream, ModelPath, ModelUri, Text

Kinds = Mapping[str, type[BaseModel]]
Kind = TypeVar("Kind", bound=BaseModel)
MODELS: Kinds = {"path": ModelPath, "uri": ModelUri, "call": Call}
DATA: Kinds = {
    "call": Call,
    "arrays": Arrays,
    "table": Table,
    "images": Images,
    "image_directory": ImageDirectory,
    "tfrecord": TFRecord,
}
LABELS: Kinds = {"path": LabelFile, "image_directory": LabelFolders, "from": LabelStream}


def _one_of(kinds: Kinds, text: str | None = None) -> Any:
    """A discriminator that finds the kind of a value by its key; ``text`` is the kind of a plain text."""

    def tell(value: Any) -> str | None:
        if isinstance(value, str):
            return text
        if not isinstance(value, Mapping):
            return next((f"<{name}>" for name, kind in kinds.items() if isinstance(value, kind)), None)
        found = [name for name in kinds if name in value]
        # In brackets, because pydantic adds the kind to the path of an error, and it must differ from the file's keys.
        return f"<{found[0]}>" if len(found) == 1 else None

    return Discriminator(tell, custom_error_type=ONE_OF, custom_error_message=", ".join(kinds))


Model = Annotated[
    Annotated[ModelPath, Tag("<path>")] | Annotated[ModelUri, Tag("<uri>")] | Annotated[Call, Tag("<call>")],
    _one_of(MODELS),
]
Inputs = (
    Annotated[Call, Tag("<call>")]
    | Annotated[Arrays, Tag("<arrays>")]
    | Annotated[Table, Tag("<table>")]
    | Annotated[Images, Tag("<images>")]
    | Annotated[ImageDirectory, Tag("<image_directory>")]
    | Annotated[TFRecord, Tag("<tfrecord>")]
)
Data = Annotated[Inputs, _one_of(DATA)]
ReferenceSource = Annotated[Annotated[Text, Tag("<file>")] | Inputs, _one_of(DATA, text="<file>")]
LabelSource = Annotated[
    Annotated[LabelFile, Tag("<path>")]
    | Annotated[LabelFolders, Tag("<image_directory>")]
    | Annotated[LabelStream, Tag("<from>")],
    _one_of(LABELS),
]
