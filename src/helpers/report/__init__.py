"""How a notebook is run, kept and shown."""
