"""The file of tags: one a line, ``tag: prompt | prompt``."""

from __future__ import annotations

from pathlib import Path

from extract.errors import UsageError
from extract.experts.tags import Tag, TagsOptions


def read_words(path: Path) -> tuple[str, ...]:
    """The tags of a UTF-8 file, as lines of the option ``tags.words``.

    Empty lines, and those that begin with ``#``, are none. Raises UsageError for a file that cannot be read,
    and with its number for a line that is no tag.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--tags {str(path)!r} cannot be read ({error}): give a UTF-8 text file") from error
    words = []
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                words.append(Tag.of(line).line)
            except ValueError as error:
                raise UsageError(f"--tags {str(path)!r}, line {number}: {error}") from error
    try:
        TagsOptions(words=tuple(words))
    except ValueError as error:
        raise UsageError(f"--tags {str(path)!r}: {error}") from error
    return tuple(words)
