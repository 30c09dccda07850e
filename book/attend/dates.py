"""Dates as people write them, in many languages, and as ISO 8601. Written by hand; no page teaches it."""

import datetime
import re
from itertools import product
from typing import NamedTuple

__all__ = ["Format", "days", "formats", "write"]

# Languages in the Latin alphabet whose month names Babel knows in full.
LANGUAGES = ["cs", "da", "de", "en", "es", "et", "fi", "fr", "hr", "hu"]
LANGUAGES += ["id", "it", "lt", "nl", "pl", "pt", "ro", "sk", "sv", "tr"]
# Every order that is in use; {d} day, {M} month, {y} year.
ORDERS = ("{d}{s}{M}{s}{y}", "{M}{s}{d}{s}{y}", "{y}{s}{M}{s}{d}")
DAYS, MONTHS = ("d", "dd"), ("MMM", "MMMM", "MM")
SEPARATORS = (" ", "-", "/", ". ", ", ")
WEEKDAYS = ("", "EEE ", "EEEE, ")
FIRST, LAST = datetime.date(1930, 1, 1), datetime.date(2069, 12, 31)


class Format(NamedTuple):
    """How a date is written: a language and a pattern of Unicode's locale data (CLDR)."""

    language: str
    pattern: str


def formats() -> list[Format]:
    """Thousands of ways to write a date, all different and unambiguous.

    None of them writes two of 24 test dates, the 5th and the 12th of each month, alike.

    Each language's own formats with a full year, and every order, separator and spelling of day,
    month and weekday. A format is left out where it writes, but for the weekday, one date as an
    earlier format writes another: 5/12/2019 is 5 December or 12 May, and "listopada" is October in
    Croatian and November in Polish.

    Raises:
        ModuleNotFoundError: Babel is not installed.
    """
    _, locale = _babel()
    dates = [datetime.date(2019, month, day) for month in range(1, 13) for day in (5, 12)]
    means: dict[str, datetime.date] = {}
    unambiguous: dict[tuple[str, ...], Format] = {}
    for language in LANGUAGES:
        own = [form.pattern for form in locale(language).date_formats.values()]
        made = [
            weekday + order.format(d=day, M=month, y="y", s=separator)
            for order, day, month, separator, weekday in product(
                ORDERS, DAYS, MONTHS, SEPARATORS, WEEKDAYS
            )
        ]
        for pattern in own + made:
            if "yy" in pattern:
                continue  # two digits leave the century open
            without_weekday = Format(language, re.sub("E+", "", pattern))
            texts = {write(date, without_weekday): date for date in dates}
            if all(means.get(text, date) == date for text, date in texts.items()):
                means |= texts
                form = Format(language, pattern)
                unambiguous.setdefault(tuple(write(date, form) for date in dates), form)
    return list(unambiguous.values())


def write(date: datetime.date, form: Format) -> str:
    """A date as one format writes it.

    Raises:
        ModuleNotFoundError: Babel is not installed.
    """
    babel_dates, locale = _babel()
    text = babel_dates.parse_pattern(form.pattern).apply(date, locale(form.language))
    return text.replace("\xa0", " ").replace("\u202f", " ")


def days() -> list[datetime.date]:
    """Every day from 1930 to 2069."""
    return [FIRST + datetime.timedelta(days=n) for n in range((LAST - FIRST).days + 1)]


def _babel():
    """Babel's formatting module and its (caching) parser of locale names."""
    try:
        from babel import Locale, dates
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "the dates are written with Babel's locale data: install it with `pip install babel`"
        ) from None
    return dates, Locale.parse
