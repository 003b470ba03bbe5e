"""Recording of one guarded call, batch by batch, into a trace."""
