"""Long columns of row numbers: some rows at a time, as runs, in memory or in a file."""
