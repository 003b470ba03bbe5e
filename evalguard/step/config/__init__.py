"""The step file: its sections, how it is read, and what is said of a wrong one."""
