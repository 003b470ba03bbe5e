"""What users pass, walked, read and hashed. Imports no framework: whoever built an object has imported its own."""
