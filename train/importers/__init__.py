"""Features that others published, as stores."""
