"""What users pass: walked, read and hashed. Imports no framework, because a framework's object shows it is imported."""
