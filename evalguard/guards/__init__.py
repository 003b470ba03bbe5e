"""The entry points for Python, and the session behind them."""
