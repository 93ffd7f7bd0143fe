"""How numbers and lists are written in a sentence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import pandas as pd

from analysis.protocol.protocol import MONTHS_A_YEAR
from analysis.reporting.results import Estimate

MINUS, NO_BREAK, NO_BREAK_HYPHEN = "\N{MINUS SIGN}", "\N{NO-BREAK SPACE}", "\N{NON-BREAKING HYPHEN}"
FURTHEST = 1000  # percent; a limit beyond it says that there is hardly one
SMALL = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def signed(value: float, digits: int = 1) -> str:
    """+1.2%, −0.4%, 0.0%."""
    text = f"{value:+.{digits}f}".replace("-", MINUS)
    return f"{text[1:]}%" if float(f"{value:.{digits}f}") == 0 else f"{text}%"


def plain(value: float, digits: int = 1) -> str:
    """1.2%, −0.4%: a growth or a size, without a plus."""
    return signed(value, digits).removeprefix("+")


def span(estimate: Estimate, digits: int = 1) -> str:
    """−7.2% to +5.3%; an end that no finite effect reaches, or that rounds to all there is, is said in words, and so is that there is none."""
    if math.isnan(estimate.low):
        return "no interval"
    endless = estimate.low <= -100 + 0.5 * 10**-digits or math.isinf(estimate.low)
    low = "no lower limit" if endless else signed(estimate.low, digits)
    high = signed(estimate.high, digits) if estimate.high < FURTHEST else f"over +{FURTHEST:,}%"
    return f"{low} to {'no upper limit' if math.isinf(estimate.high) else high}"


def interval(estimate: Estimate, level: float) -> str:
    return span(estimate) if math.isnan(estimate.low) else f"{level:.0%} interval {span(estimate)}"


def p_text(p_value: float) -> str:
    """p = 0.66, p = 0.034, p < 0.001, p > 0.99; what belongs together does not break over a line."""
    if math.isnan(p_value):
        return "no p-value"
    if p_value < 0.001:
        text = "p < 0.001"
    elif p_value > 0.99:
        text = "p > 0.99"
    else:
        text = f"p = {p_value:.3f}" if p_value < 0.1 else f"p = {p_value:.2f}"
    return text.replace(" ", NO_BREAK)


def above_or_below(value: float) -> str:
    """Size and position: 1.2% below, 0.3% above, or by our estimate no different (0.0%) from."""
    size = f"{abs(value):.1f}%"
    return (
        f"by our estimate no different ({size}) from"
        if size == "0.0%"
        else f"{size} {'below' if value < 0 else 'above'}"
    )


def certainty(estimate: Estimate) -> str:
    """How sure an estimate is by its interval alone: a clear fall, a clear rise, inconclusive."""
    if not estimate.excludes_zero:
        return "inconclusive"
    return f"a clear {'fall' if estimate.value < 0 else 'rise'}"


def grew_or_fell(value: float) -> str:
    """grew by 2.7%, fell by 0.3%, did not change (0.0%)."""
    size = f"{abs(value):.1f}%"
    return f"did not change ({size})" if size == "0.0%" else f"{'fell' if value < 0 else 'grew'} by {size}"


def changes(found: Sequence[tuple[float, str]]) -> str:
    """Each change with where it was: grew by 2.7% in A, 0.6% in B and fell by 0.1% in C; the verb again only where it is another."""
    parts, before = [], ""
    for value, where in found:
        words = grew_or_fell(value)
        verb = words.partition(" by ")[0]
        parts.append(f"{words.removeprefix(f'{verb} by ') if verb == before else words} {where}")
        before = verb
    return listed(parts)


def in_sentence(label: str) -> str:
    """A label with a small first letter, unless it begins with an abbreviation: GP referrals."""
    return label if label[:2].isupper() else label[:1].lower() + label[1:]


def headed(label: str) -> str:
    """A label with a capital first letter."""
    return label[:1].upper() + label[1:]


def listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def listed_apart(items: Sequence[str]) -> str:
    """The same for items that hold commas of their own."""
    return items[0] if len(items) == 1 else f"{'; '.join(items[:-1])}; and {items[-1]}"


def counted(number: int) -> str:
    """Small numbers in words."""
    return SMALL[number] if number < len(SMALL) else f"{number:,}"


def duration_text(months: int) -> str:
    """A number of months in words, as years where they are whole: two years, one year, nine months."""
    number, unit = (months // MONTHS_A_YEAR, "year") if months % MONTHS_A_YEAR == 0 else (months, "month")
    return f"{counted(number)} {unit}{'' if number == 1 else 's'}"


def ordinal(number: int) -> str:
    """Small ordinals in words."""
    words = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
    return words[number - 1] if number <= len(words) else f"{number}th"


def in_no_model(models: Sequence[object]) -> str:
    """Which places are in none of the models."""
    return {1: "outside the programme", 2: "of neither model"}.get(len(models), "of none of the models")


def untouched(models: Sequence[object]) -> str:
    """Where none of the models began."""
    began = {1: "the programme did not begin", 2: "neither model began"}
    return f"where {began.get(len(models), 'none of the models began')}"


def missed_text(power: float) -> str:
    """How often what is found with this power is missed: one time in five."""
    return f"one time in {counted(round(1 / (1 - power)))}"


def share_text(share: float) -> str:
    """63%, all, none; what only rounds to all or none is almost all, or hardly any."""
    if share in (0, 1):
        return "all" if share else "none"
    text = f"{share:.0%}"
    return {"100%": "almost all", "0%": "hardly any"}.get(text, text)


def beyond_zero(found: pd.DataFrame, names: Iterable[str]) -> str:
    """Which of the intervals, from ``low`` to ``high``, leave out zero."""
    clear = [name for name, low, high in zip(names, found.low, found.high, strict=True) if low > 0 or high < 0]
    return f"The interval leaves out zero for {listed(clear)}." if clear else "Every interval includes zero."
