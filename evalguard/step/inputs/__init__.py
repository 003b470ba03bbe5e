"""What a step names, opened: data, labels and reference."""
