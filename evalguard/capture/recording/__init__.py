"""Record one guarded call, batch by batch, and turn the record into a trace."""
