"""Run an evaluation that a YAML step file describes, which can be kept under version control."""
