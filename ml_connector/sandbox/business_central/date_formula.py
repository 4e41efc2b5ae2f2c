"""Date formulas such as `10D`, `1M(8D)`, `CM+10D`, for due dates."""

import calendar
import re
from datetime import date, timedelta

_PART = re.compile(r"([+-]?)(?:(\d+)([DWMQY])|C([DWMQY])|D(\d{1,2}))")


def add_formula(start: date, formula: str) -> date:
    """The date a formula leads to; an empty formula leads nowhere."""
    text = formula.replace("(", "+").replace(")", "").replace(" ", "").upper()
    day, place = start, 0
    while place < len(text):
        match = _PART.match(text, place)
        if match is None:
            raise ValueError(f"{formula} is no date formula")
        sign, count, unit, current, month_day = match.groups()
        back = sign == "-"
        if count is not None:
            day = _shift(day, -int(count) if back else int(count), unit)
        elif current is not None:
            day = _edge(day, current, first=back)
        else:
            day = _next_day_of_month(day, int(month_day))
        place = match.end()
    return day


def _shift(day: date, count: int, unit: str) -> date:
    if unit in "DW":
        return day + timedelta(days=count * (7 if unit == "W" else 1))
    months = count * {"M": 1, "Q": 3, "Y": 12}[unit]
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return date(year, month + 1, min(day.day, last))


def _edge(day: date, unit: str, *, first: bool) -> date:
    if unit == "D":
        return day
    if unit == "W":
        return day + timedelta(days=-day.weekday() if first else 6 - day.weekday())
    months = {"M": 1, "Q": 3, "Y": 12}[unit]
    begin_month = (day.month - 1) // months * months + 1
    begin = date(day.year, begin_month, 1)
    return begin if first else _shift(begin, months, "M") - timedelta(days=1)


def _next_day_of_month(day: date, number: int) -> date:
    for months in (0, 1, 2):
        month = _shift(day.replace(day=1), months, "M")
        last = calendar.monthrange(month.year, month.month)[1]
        found = month.replace(day=min(number, last))
        if found > day:
            return found
    return day
