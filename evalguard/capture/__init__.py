"""What the model was really fed: batches are tagged at the source and recorded where the model receives them."""
