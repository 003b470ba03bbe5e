"""One guarded call, recorded batch by batch, becomes a trace."""
