"""How lines of many scripts come out of the ocr expert's reader, and the weights by which it tells them.

    python -m bench.ocr_scripts                          # TITLES in DejaVu Sans, one line on each frame
    python -m bench.ocr_scripts --fonts DIR --lines N    # names from Babel in the fonts below DIR
    python -m bench.ocr_scripts --fonts DIR --lines N --fit

Names are those of countries, languages, months and currencies, one to three words; half of the lines of
scripts with capitals are in capitals. They are 20 to 52 pixels high on plain grounds of any colour, a third
blurred, and half went through JPEG. ``--fit`` prints the weights of :mod:`extract.ops.text.unlikely`, and how
many lines of each kind they mark at its threshold in fonts that were left out while fitting (five parts).
"""

from __future__ import annotations

import argparse
import random
import unicodedata
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from extract.ops.text import unlikely
from extract.ops.text.ocr_engines import RapidOcrReader
from extract.ops.text.turned_lines import LineReading

SIZE = 960, 120
KNOWN = ("latin", "cjk")
TITLES = {
    "latin": "THE LAST ORCHARD|COMING SOON|Demain à l'aube|DER GROßE AUFBRUCH|"
    "El corazón del árbol|ŁÓDŹ NOCĄ|Dziewczęta z fabryki|GÖLGELER ŞEHRİ|Aşkın sesi|"
    "IN THEATRES DECEMBER|Příběh léta|ŐSZI SZÉL|Vår tid är nu|O SILÊNCIO DO MAR|"
    "La città perduta|NOTHING STAYS BURIED|MI6|WINTER 1944|Bouldershaw|Élise et Noé",
    "greek": "ΤΟ ΒΛΕΜΜΑ|Η αγάπη μας|ΘΑΛΑΣΣΑ|Ο δρόμος|ΝΕΑ ΤΑΙΝΙΑ|Καλοκαίρι|ΜΑΜΑ|"
    "Μια νύχτα στην Αθήνα|ΨΕΜΑΤΑ|Το φως",
    "cyrillic": "ТОРТ|РОМАН|Скоро в кино|НОЧНОЙ ДОЗОР|Тени забытых предков|ПРИЗРАК|Любовь и голуби|"
    "МАМА|Зима|ВЕСНА|Полёт|ДЕНЬ ПОБЕДЫ|Последний звонок|КРАЙ|Моя семья|ТИХИЙ ДОН|Вечер|"
    "ЖИТТЯ|Мечта|САМО ЉУБАВ",
    "georgian": "მალე კინოში|ღამე|ზღვის სიმღერა|დედა|უკანასკნელი დღე|ქალაქი|სიზმარი|თბილისი|"
    "გზა შინ|შემოდგომა",
    "armenian": "ՇՈՒՏՈՎ ԿԻՆՈՅՈՒՄ|Վերջին գիշերը|ՄԱՅՐ|Երևան|Քամու երգը|ԼՈՒՅՍ|Տան ճանապարհը|ԳԱՐՈՒՆ|"
    "Մեր օրերը|ԱՐԱՐԱՏ",
    "hebrew": "בקרוב בקולנוע|לילה אחרון|אמא|ירושלים|שיר הים|אור|הדרך הביתה|אביב|ימים של חול|שלום",
    "arabic": "قريبا في السينما|الليلة الأخيرة|أمي|القاهرة|أغنية البحر|نور|الطريق إلى البيت|ربيع|"
    "أيام الرمل|سلام",
    "lao": "ໄວໆນີ້|ຄືນສຸດທ້າຍ|ແມ່|ວຽງຈັນ|ເພງທະເລ|ແສງ|ທາງກັບບ້ານ|ລະດູໃບໄມ້|ວັນແຫ່ງຊາຍ|ສະບາຍດີ",
}  # fmt: skip
LANGUAGES = {
    "latin": "en en en en en fr de es pl tr cs hu sv pt ro it nl fi hr vi",
    "cyrillic": "ru ru uk bg sr mk kk be", "armenian": "hy", "georgian": "ka", "hebrew": "he",
    "arabic": "ar fa ur", "lao": "lo", "thai": "th", "devanagari": "hi mr", "bengali": "bn", "hangul": "ko",
    "tamil": "ta", "ethiopic": "am", "khmer": "km", "cjk": "zh ja",
}  # fmt: skip


@dataclass(frozen=True)
class Line:
    script: str
    text: str
    font: Path


class Asked(RapidOcrReader):
    """Keeps the readings of its lines."""

    def __init__(self) -> None:
        super().__init__(min_score=0.5, max_side=960, use_cls=False)
        self.readings: list[LineReading] = []

    def _foreign(self, lines: Any) -> list[bool]:
        self.readings = [line.reading for line in lines]
        return super()._foreign(lines)


def titles() -> Iterator[tuple[Line, NDArray[np.uint8]]]:
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    for script, lines in TITLES.items():
        for text in lines.split("|"):
            for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"):
                line = Line(script, text, folder / name)
                yield line, _drawn(line, 40, (0, 0, 0), (255, 255, 255))


def names(folder: Path, count: int) -> Iterator[tuple[Line, NDArray[np.uint8]]]:
    import cv2
    from matplotlib.ft2font import FT2Font

    draw = random.Random(0)
    letters = {
        path: set(FT2Font(str(path)).get_charmap())
        for path in sorted(folder.rglob("*.[to]tf"))
        if not any(part in path.name for part in ("Emoji", "Symbols", "Math"))
    }
    pools = {script: [_names(code) for code in codes.split()] for script, codes in LANGUAGES.items()}
    for _ in range(count):
        script = draw.choice([*pools, *["latin"] * len(pools), "cyrillic", "armenian", "hebrew", "arabic"])
        text = draw.choice(draw.choice(pools[script]))
        text = text.upper() if draw.random() < 0.5 else text
        fonts = [path for path, known in letters.items() if known.issuperset(map(ord, text))]
        if script != _script(text) or not fonts:
            continue
        line = Line(script, text, draw.choice(fonts))
        colours = [tuple(draw.randint(low, low + 80) for _ in range(3)) for low in (0, 175)]
        draw.shuffle(colours)
        image: Any = _drawn(line, draw.randint(20, 52), *colours)
        if draw.random() < 1 / 3:
            image = cv2.GaussianBlur(image, (0, 0), draw.uniform(0.4, 1.1))
        if draw.random() < 1 / 2:
            _, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, draw.randint(40, 95)])
            image = cv2.imdecode(coded, cv2.IMREAD_COLOR)
        yield line, image


def _names(code: str) -> list[str]:
    from babel import Locale

    locale = Locale.parse(code)
    found = [*locale.territories.values(), *locale.languages.values(), *locale.currencies.values()]
    found += locale.months["stand-alone"]["wide"].values()
    words = [str(name).split()[:3] for name in found]
    return [text for part in words if 2 <= len(text := " ".join(part)) <= 24]


def _script(text: str) -> str:
    letters = {unicodedata.name(c, "").partition(" ")[0].lower() for c in text if c.isalpha()}
    found = {"cjk" if name in ("katakana", "hiragana") else name for name in letters}
    return found.pop() if len(found) == 1 else ""


def _drawn(line: Line, height: int, ground: Any, colour: Any) -> NDArray[np.uint8]:
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", SIZE, ground)
    font = ImageFont.truetype(str(line.font), height)
    ImageDraw.Draw(image).text((30, 90), line.text, colour, font=font, anchor="ls")
    return np.asarray(image)


def fit(values: NDArray[np.float64], foreign: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """Weights and bias of a logistic regression with an L2 penalty of 0.001 on standardised values."""
    import torch

    mean, scale = values.mean(axis=0), values.std(axis=0) + 1e-3
    inputs, labels = torch.tensor((values - mean) / scale), torch.tensor(foreign, dtype=torch.float64)
    weights = torch.zeros(values.shape[1] + 1, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> Any:
        optimiser.zero_grad()
        logits = inputs @ weights[1:] + weights[0]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
        loss = loss + 1e-3 * weights[1:].square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    found = weights.detach().numpy()
    return found[1:] / scale, float(found[0] - (found[1:] * mean / scale).sum())


def report_fit(lines: list[Line], readings: list[LineReading]) -> None:
    values = np.array([unlikely.features(reading) for reading in readings])
    foreign = np.array([line.script not in KNOWN for line in lines])
    parts = np.array([zlib.crc32(line.font.name.partition("-")[0].encode()) % 5 for line in lines])
    odds = np.zeros(len(lines))
    for part in range(5):
        weights, bias = fit(values[parts != part], foreign[parts != part])
        odds[parts == part] = values[parts == part] @ weights + bias
    for kind, chosen in (("known", ~foreign), ("other", foreign)):
        marked = (odds[chosen] > unlikely.ALONE).sum()
        print(f"{kind}: {marked} of {chosen.sum()} lines marked in left-out fonts")
    weights, bias = fit(values, foreign)
    for name, weight in zip(unlikely.FEATURES, weights, strict=True):
        print(f"{weight:8.3f}  {name}")
    print(f"{bias:8.3f}  bias")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fonts", type=Path)
    parser.add_argument("--lines", type=int, default=2000)
    parser.add_argument("--fit", action="store_true")
    options = parser.parse_args()
    reader, outcomes = Asked(), defaultdict[str, Counter[str]](Counter)
    lines: list[Line] = []
    readings: list[LineReading] = []
    for line, image in names(options.fonts, options.lines) if options.fonts else titles():
        reader.readings = []
        (found,) = reader([np.ascontiguousarray(image)])
        outcome = "nothing" if not found else "read" if any(text.text for text in found) else "marked"
        outcomes[line.script][outcome] += 1
        if outcome == "read" and not options.fonts:
            print(f"{line.script:10} {line.text} -> {' | '.join(text.text for text in found)}")
        if len(reader.readings) == 1 and np.isfinite(unlikely.foreign_odds(reader.readings[0])):
            lines.append(line)
            readings.append(reader.readings[0])
    for script, counts in outcomes.items():
        print(
            f"{script:12}{counts.total():6} lines",
            *(f"{counts[o]:6} {o}" for o in ("read", "marked", "nothing")),
        )
    if options.fit:
        report_fit(lines, readings)


if __name__ == "__main__":
    main()
