"""The step file: its sections, how it is read, and the error messages for a wrong one."""
