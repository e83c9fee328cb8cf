"""Search over a store: on-screen text and speech by words, shots by meaning and by likeness."""
