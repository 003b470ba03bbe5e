"""One engine per Keras flavour: it takes tags off at the model's door and hands back a trace."""
