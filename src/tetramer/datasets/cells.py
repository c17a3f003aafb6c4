"""Cells of a column of text: numbers, bounds, gaps, and numbers that are written in another way than we read."""

import re
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MISSING = ("", "na", "n/a", "#n/a", "nan", "null", "none")
"""Texts that mean "not measured", in any case; nothing else does."""

NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
CENSORED = rf"^(?P<sign>>=|<=|[<>≤≥=]?)\s*(?P<number>{NUMBER})$"
INFINITE = r"^[+-]?inf(inity)?$"

# Numbers as people write them: 6,6 and 1.234,5 and 1 234; 45%; 3 nM; 1.5±0.2; ~3.
BLANKS = " \u00a0\u2009\u202f"  # spreadsheets write thin and unbreakable ones between thousands
LOOSE = rf"[+−-]?(?:\d{{1,3}}(?:[.,'’{BLANKS}]\d{{3}})+(?:[.,]\d*)?|\d+[.,]?\d*|[.,]\d+)(?:[eE][+−-]?\d+)?"
BASE = r"[fpnuµμmcdkMG]?(?:mol|min|Hz|cal|Da|eV|Pa|bar|ppm|ppb|hartree|°C|[MglLmshKVJÅ])(?:\^?-?[1-3]|[⁻¹²³]+)?"
UNIT = rf"(?:%|{BASE}(?:\s?[/·*]\s?{BASE}|\s{BASE})*)"
PLUS_MINUS = r"(?:±|\+/-|\+-)"
LIKE = (
    rf"^(?:ca\.?|about|approx\.?|circa|[<>≤≥=~≈]+)?\s*(?:"
    rf"{LOOSE}\s*{UNIT}?(?:\s*{PLUS_MINUS}\s*{LOOSE}\s*{UNIT}?|\s*\({LOOSE}\))?"
    r"|[+−-]?\d+[.,]\d+\s*[^\d\s.,;:–-][^\d]{0,20})$"  # a decimal number and words, perhaps a unit nobody thought of
)
THOUSANDS = r"^[+−-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?$"
ADVICE = (
    (r"−", "Write a minus sign as -, the hyphen of the keyboard."),
    (r"%", "Write percentages without the sign, all of them as 45 or all as 0.45."),
    (rf"{PLUS_MINUS}|\(", "Write the value alone; its error may stand in a column of its own."),
    (r"^(?:[~≈]|[a-z])", "Write a plain number for an approximate one, or > or < for a bound."),
    (rf"(?>{LOOSE})\s*(?:[^\W\d_]|°)", "Write the number alone, in every row in the same unit."),
)
"""What gives a way of writing away, and what to do then; in the syntax of Python, the rest in that of Arrow."""
PLAIN = "Empty these cells or correct them; a bound is written >10 or <5."


class Cells(NamedTuple):
    """A column of text, cell by cell: what it can be read as. A million cells take about half a second."""

    texts: pa.Array  # (n,) trimmed, "" where empty
    missing: np.ndarray  # (n,) bool
    infinite: np.ndarray  # (n,) bool: "inf", "-Infinity"
    number: np.ndarray  # (n,) bool: a number or a bound
    parts: pa.Array  # (n,) sign and number, null elsewhere

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> Self:
        """Read the column; no cell is refused here."""
        texts = pc.utf8_trim_whitespace(pc.fill_null(column.cast(pa.string()), "")).combine_chunks()
        lower, parts = pc.utf8_lower(texts), pc.extract_regex(texts, CENSORED)
        missing = np.asarray(pc.is_in(lower, pa.array(MISSING)))
        infinite = np.asarray(pc.match_substring_regex(lower, INFINITE))
        return cls(texts, missing, infinite, np.asarray(parts.is_valid()), parts)

    @property
    def are_classes(self) -> bool:
        """Whether the column holds texts and no number at all, and most texts do not look like numbers either."""
        if self.number.any() or self.infinite.any() or self.missing.all():
            return False
        return 2 * int(self.odd.sum()) <= int((~self.missing).sum())

    @property
    def neither(self) -> np.ndarray:
        """(n,) bool: text, in a column of numbers."""
        return np.asarray(~(self.number | self.missing | self.infinite))

    @property
    def odd(self) -> np.ndarray:
        """(n,) bool: a number to a person, but not as we read it: a decimal comma, a unit, %, ± or ~."""
        odd: np.ndarray = np.asarray(pc.match_substring_regex(self.texts, LIKE)) & self.neither
        return odd

    def numbers(self) -> tuple[np.ndarray, np.ndarray]:
        """Values (n,) float64, correctly rounded, NaN where there is no number; signs (n,) int8 as in `Labels`."""
        values, signs = np.full(len(self.texts), np.nan), np.zeros(len(self.texts), np.int8)
        found = self.parts.filter(pa.array(self.number))
        values[self.number] = pc.struct_field(found, "number").cast(pa.float64())
        sign = pc.struct_field(found, "sign")
        signs[self.number] = np.asarray(pc.is_in(sign, pa.array([">", ">=", "≥"]))).astype(np.int8)
        signs[self.number] -= np.asarray(pc.is_in(sign, pa.array(["<", "<=", "≤"]))).astype(np.int8)
        return values, signs

    def different(self) -> list[str]:
        """The texts that occur, in alphabetical order."""
        return sorted(pc.unique(self.texts.filter(pa.array(~self.missing))).to_pylist())

    def places(self, ordered: list[str]) -> np.ndarray:
        """(n,) float64 place of each cell in `ordered`, NaN where missing."""
        values = np.full(len(self.texts), np.nan)
        values[~self.missing] = np.asarray(pc.index_in(self.texts, pa.array(ordered)).filter(pa.array(~self.missing)))
        return values

    @property
    def advice(self) -> str:
        """What to do about the texts among numbers, by what they look like."""
        texts = pc.unique(self.texts.filter(pa.array(self.odd))).to_pylist()
        numbers = [found[0].replace("−", "-") for text in texts if (found := re.search(rf"{LOOSE}(?!\d)", text))]
        told = [_about_separators(numbers)]
        told += [advice for sign, advice in ADVICE if any(re.search(sign, text) for text in texts)]
        return " ".join(filter(None, told)) or PLAIN


def _about_separators(numbers: list[str]) -> str:
    """What to do about commas, and points or blanks between thousands; 5,537 may be either, so nothing is guessed."""
    commas = [number for number in numbers if "," in number]
    decimal = [number for number in commas if not re.match(THOUSANDS, number)]
    if decimal:
        return f"Write decimals with a point, as in {_bare(decimal[0]).replace(',', '.')}."
    sure = [number for number in commas if re.search(r",\d{3}[,.]", number)]
    if sure:
        return f"Leave out the commas between thousands, as in {sure[0].replace(',', '')}."
    if commas:
        whole, point = commas[0].replace(",", ""), commas[0].replace(",", ".")
        return (
            f"Every comma stands before three digits: write {commas[0]!r} as {whole} if it separates thousands, and as "
            f"{point} if it is a decimal comma."
        )
    split = [number for number in numbers if re.search(rf"['’{BLANKS}]|\.\d+\.", number)]
    return f"Leave out what separates thousands, as in {_bare(split[0])}." if split else ""


def _bare(number: str) -> str:
    """A number without what separates its thousands, unless that is a comma."""
    kept = r"[^\d,eE+-]" if "," in number or number.count(".") > 1 else r"[^\d.eE+-]"
    return re.sub(kept, "", number)
