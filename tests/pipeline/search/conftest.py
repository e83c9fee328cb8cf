"""The films of the report's tests."""

from tests.pipeline.report.conftest import films, titles

__all__ = ["films", "titles"]
