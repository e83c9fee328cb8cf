"""Corrections that must happen, and text that must be left alone."""

from __future__ import annotations

import math
from itertools import combinations, pairwise

import pytest

from extract.ops.text import spelling
from extract.ops.text.spelling import SymSpellSpeller, dictionary_files, unchanged

SURE, UNSURE = 1.0, 0.9


@pytest.fixture(scope="module")
def speller() -> SymSpellSpeller:
    return SymSpellSpeller()


@pytest.mark.parametrize(
    ("line", "score", "corrected"),
    [
        ("THISSUMMER", SURE, "THIS SUMMER"),
        ("COMINGSOON!", SURE, "COMING SOON!"),
        ("OFALEGEND", SURE, "OF A LEGEND"),
        ("THEBATTLE BEGINS", SURE, "THE BATTLE BEGINS"),
        ("the family youchoose", SURE, "the family you choose"),
        ("TOM0RROW", SURE, "TOMORROW"),
        ("COMNG  SOON", UNSURE, "COMING  SOON"),
        ("(this chirstmas)", UNSURE, "(this christmas)"),
    ],
)
def test_mends(speller: SymSpellSpeller, line: str, score: float, corrected: str) -> None:
    assert speller([line], [score]) == [corrected]


@pytest.mark.parametrize(
    "lines",
    [
        ["NORTHWIND PICTURES", "presents"],
        ["CAPTAIN BARNABY HALE"],
        ["Directed by MARTA OKONKWO", "Produced by ELIAS BRANDT", "www.example.org/orchard"],
        ["COMING SOON TO THEATERS"],  # the dictionary has heaters and theatres, not theaters
        ["DREAMWORKS", "LIONSGATE and BLUMHOUSE"],
        ["starring Saoirse Ronan and Timothee Chalamet"],
        ["IN CINEMAS 25.12.2026", "20th CENTURY", "MP3 10TH 1984 4K"],
        ["EL FARO DE SAL", "ESTRENO EL 14 DE MARZO"],
        ["PRODUCCIONES MAREA ALTA"],
        ["UNA ISLA"],
        ["UN SECRETO"],
        ["¿QUIÉN APAGÓ", "LA LUZ?"],
        ["Basada en hechos imaginarios"],
        ["DEMNÄCHST IM KINO", "COMNG"],
        ["VERY" + "!" * 5000 + "LONG"],
        ["来年公開", "Скоро в кино"],
        ["", "  ", "!?", "a"],
        ["x" * 500],
    ],
)
def test_leaves_alone(speller: SymSpellSpeller, lines: list[str]) -> None:
    assert speller(lines, [UNSURE] * len(lines)) == lines


WELL_READ = (
    *("MI6", "FAST5", "PART5", "MAY5", "007", "R2D2", "C3PO", "3D", "4K", "80s", "B52S", "AREA51", "HAL9000"),
    *("1ST", "SEPTEMBRE", "DECEMBRE", "OKTOBER", "DEZEMBER", "AMELIE", "NOTRE", "PROGRAMA", "ABEND", "XVIII"),
    *("ROCKYIII", "PATHE", "GAUMONT", "STUDIOCANAL", "BAVARIA", "TOHO", "YASH", "TRUFFAUT"),
)


@pytest.mark.parametrize("company", ["", "THE ", "COMING SOON: "])
@pytest.mark.parametrize("word", WELL_READ)
@pytest.mark.parametrize("score", [SURE, 0.96])
def test_keeps_digits_names_and_foreign_words_of_well_read_lines(
    speller: SymSpellSpeller, word: str, company: str, score: float
) -> None:
    assert speller([company + word], [score]) == [company + word]


@pytest.mark.parametrize("word", ["MUCHAS", "FORMA", "FORME"])
def test_a_short_word_alone_is_not_split(speller: SymSpellSpeller, word: str) -> None:
    assert speller([word], [UNSURE]) == [word]
    assert speller(["COMING", "INTHE", "END"], [SURE] * 3)[1] == "IN THE", "beside English words it is"


def test_a_lone_word_is_no_evidence_of_english(speller: SymSpellSpeller) -> None:
    assert speller(["DEZEMBER", "AMELIE"], [UNSURE, UNSURE]) == ["DEZEMBER", "AMELIE"]
    assert speller(["THE WORLD OF AMELIE"], [UNSURE]) == ["THE WORLD OF AMELIE"], "Amelia is no commoner"


def test_a_line_of_many_words_is_quick(speller: SymSpellSpeller) -> None:
    """Every word is looked at a fixed number of times, however many there are."""
    looked_at = 0

    class Counting(SymSpellSpeller):
        def _evidence(self, token: str) -> spelling.Evidence:
            nonlocal looked_at
            looked_at += 1
            return super()._evidence(token)

    line = " ".join(["the", "end", "PART5", "comng"] * 1250)
    assert Counting()([line], [UNSURE])[0].split()[:4] == ["the", "end", "PART5", "coming"]
    assert looked_at < 5 * 5000


def test_a_line_read_with_confidence_keeps_its_letters(speller: SymSpellSpeller) -> None:
    assert speller(["COMNG SOON"], [SURE]) == ["COMNG SOON"]


def test_names_keep_their_letters(speller: SymSpellSpeller) -> None:
    assert speller(["a film by Amelie"], [UNSURE]) == ["a film by Amelie"]
    assert speller(["the beleve in you"], [UNSURE]) == ["the believe in you"]


def test_the_frame_decides_on_the_language(speller: SymSpellSpeller) -> None:
    assert speller(["COMNG", "THE BATTLE FOR YOU"], [UNSURE, UNSURE])[0] == "COMING"
    assert speller(["COMNG", "EL FARO DE SAL"], [UNSURE, UNSURE])[0] == "COMNG"


def test_unchanged_changes_nothing() -> None:
    assert unchanged(["COMNG"], [0.1]) == ["COMNG"]


@pytest.mark.parametrize("word", ["ofalegend", "itisallgone", "thissummer", "northwind", "laluz", "zzzzzz"])
def test_split_is_the_likeliest_chain(speller: SymSpellSpeller, word: str) -> None:
    """Against the best of all 2^(n-1) ways to cut the word, from the files themselves."""
    files = dictionary_files()
    unigrams, bigrams = {}, {}
    for row in files[spelling.UNIGRAMS].read_text(encoding="utf-8-sig").splitlines():
        term, count = row.split()
        unigrams[term] = int(count)
    for row in files[spelling.BIGRAMS].read_text(encoding="utf-8-sig").splitlines():
        *terms, count = row.split()
        bigrams[tuple(terms)] = int(count)
    best: tuple[float, list[str]] | None = None
    for cuts in range(1, len(word)):
        for places in combinations(range(1, len(word)), cuts):
            edges = [0, *places, len(word)]
            parts = [word[a:b] for a, b in pairwise(edges)]
            if any(p not in unigrams or (len(p) == 1 and p not in "ai") for p in parts):
                continue
            pairs = list(pairwise(parts))
            if any(pair not in bigrams for pair in pairs):
                continue
            score = math.log(unigrams[parts[0]]) + sum(math.log(bigrams[p] / unigrams[p[0]]) for p in pairs)
            if best is None or score > best[0]:
                best = (score, parts)
    assert speller.split(word) == (best and best[1])
