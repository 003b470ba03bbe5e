"""The commands of ``evalguard``, one module for each group of them."""
