"""Walk, read and hash the data that users pass. No framework is imported here: if one made the data, it is imported."""
