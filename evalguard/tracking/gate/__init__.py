"""The gate: is every evaluation in question proven?"""
