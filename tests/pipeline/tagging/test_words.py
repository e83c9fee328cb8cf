"""The file of tags: what it may hold, and what is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from extract.errors import UsageError
from extract.experts.tags import Tag
from pipeline.tagging.words import read_words


def test_a_line_is_a_tag_with_its_prompts(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text(
        "\ufeff# moods\r\n\r\n  a car  chase at night \r\nsad: a sad film |  tears|| tears\n"
        "=HYPERLINK(1)\n<script>alert(1)</script>\n2001: a space odyssey\nnuit d’été: été, la nuit\n",
        "utf-8",
    )
    words = read_words(path)
    assert words == (
        "a car chase at night", "sad: a sad film | tears", "=HYPERLINK(1)", "<script>alert(1)</script>",
        "2001: a space odyssey", "nuit d’été: été, la nuit",
    )  # fmt: skip
    assert Tag.of(words[0]) == Tag("a car chase at night", ("a car chase at night",))
    assert Tag.of(words[1]).prompts == ("a sad film", "tears")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\n# nothing\n", "0 tags; allowed: 1 to 1,000"),
        ("\n".join(f"tag {i}" for i in range(1001)), "1,001 tags; allowed"),
        ("day\n\nnight:  | ", r"line 3: 'night:  | ' has no prompt: write TAG: PROMPT"),
        (": a photo", "line 1: ': a photo' has no tag"),
        ("day\nnight\nDay: a photo", "the tag 'day' is there 2 times: write its prompts in one line"),
        ("Scene", "line 1: 'Scene' is a column that every table of shots has"),
        ("x" * 101, r"line 1: 'x{37}...' has 101 characters; allowed: 100"),
        (f"x: {'y' * 1001}", "has 1,001 characters; allowed: 1,000"),
        ("a\x1b[31mb", r"line 1: 'a\\x1b\[31mb' has a character that cannot be printed"),
    ],
)
def test_what_is_no_tag_is_refused(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text(text, "utf-8")
    with pytest.raises(UsageError, match=said) as refused:
        read_words(path)
    assert "\n" not in str(refused.value)
    for path in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(UsageError, match="cannot be read"):
            read_words(path)
