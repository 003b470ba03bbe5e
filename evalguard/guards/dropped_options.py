"""Options that have no effect any more, in Python and in a step file: accepted with a warning until 0.2."""

# Option → what its warning says.
DROPPED = {
    "content": "every row is always recognised by its content",
    "trace_memory": "it has no effect any more; columns above 256 MB are kept in a temporary file",
}
