"""Kinds of tables and figures, a file each with ``make(results, paper_table)``; see comparison.paper."""
