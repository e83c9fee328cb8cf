"""Many vectors in a file, and the nearest of them: what the search of a store and the trainer share."""
