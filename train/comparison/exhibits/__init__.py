"""Kinds of tables and figures: one file each, with ``make(results, exhibit)``, see train.comparison.paper."""
