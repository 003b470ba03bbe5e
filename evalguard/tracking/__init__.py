"""MLflow: verdicts written to runs, and read back."""
