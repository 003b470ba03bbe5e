"""Options that have no effect any more, in Python and in a step file: accepted with a warning until 0.2."""

from __future__ import annotations

import re
from typing import Any

from evalguard.errors import ConfigError

# Option → what its warning says.
DROPPED = {
    "content": "every row is always recognised by its content",
    "trace_memory": "it has no effect any more; columns above 256 MB are kept in a temporary file",
}
_CONTENT = r"all|sample:0?\.\d*[1-9]\d*"


def why_dropped(option: str, value: Any) -> str:
    """What the warning about an option says.

    Raises:
        ConfigError: ``content`` has a value that it never took.
    """
    if option != "content":
        return DROPPED[option]
    if not isinstance(value, str) or re.fullmatch(_CONTENT, value) is None:
        msg = (
            "content: expected 'all', or a share of the rows above 0 and below 1 such as 'sample:0.01'; "
            f"found {str(value)[:60]!r}."
        )
        raise ConfigError(msg)
    return DROPPED[option] if value == "all" else f"all rows are fingerprinted now, a stronger proof than {value!r}"
