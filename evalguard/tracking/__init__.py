"""Write verdicts to MLflow runs, and read them back for the gate."""
