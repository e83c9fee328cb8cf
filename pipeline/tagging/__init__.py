"""Tags: every shot of a store against words of the user."""
