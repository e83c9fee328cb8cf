"""What papers show: one file each, see :mod:`train.comparison.paper`."""
