"""The YAML step: an evaluation as a file under version control."""
