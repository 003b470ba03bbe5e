"""The gate checks whether every evaluation of a model, run or experiment is proven."""
