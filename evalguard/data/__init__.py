"""Walk, read and hash the data that users pass. No framework is imported: the one that made the data already is."""
