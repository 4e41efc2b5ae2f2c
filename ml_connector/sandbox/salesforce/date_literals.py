"""SOQL's named days and spans."""

from datetime import UTC, date, datetime, time, timedelta

from dateutil.relativedelta import relativedelta

from ml_connector.sandbox.salesforce.soql_syntax import DateRange, malformed

_DAY = timedelta(days=1)


def span(found: DateRange, today: date) -> tuple[date, date]:
    """First day and the day after the last of a date literal."""
    if found.count is None:
        return _plain(found.name, today)
    return _counted(found.name, found.count, today)


def _plain(name: str, today: date) -> tuple[date, date]:
    if name in ("TODAY", "YESTERDAY", "TOMORROW"):
        start = today + {"TODAY": 0, "YESTERDAY": -1, "TOMORROW": 1}[name] * _DAY
        return start, start + _DAY
    if name == "LAST_90_DAYS":
        return today - 90 * _DAY, today + _DAY
    if name == "NEXT_90_DAYS":
        return today + _DAY, today + 91 * _DAY
    word, _, unit = name.partition("_")
    steps = {"LAST": -1, "THIS": 0, "NEXT": 1}
    if word not in steps:
        raise malformed(f"{name} is no value")
    return _unit(unit, today, steps[word])


def _unit(unit: str, today: date, step: int) -> tuple[date, date]:
    if unit == "WEEK":
        start = today - timedelta(days=(today.weekday() + 1) % 7) + timedelta(weeks=step)
        return start, start + timedelta(weeks=1)
    months = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}.get(unit)
    if months is None:
        raise malformed(f"There is no date literal for {unit}")
    first = today.replace(month=(today.month - 1) // months * months + 1, day=1)
    start = first + relativedelta(months=step * months)
    return start, start + relativedelta(months=months)


def _counted(name: str, count: int, today: date) -> tuple[date, date]:
    words = name.split("_")
    if name == "LAST_N_DAYS":
        return today - count * _DAY, today + _DAY
    if name == "NEXT_N_DAYS":
        return today + _DAY, today + (count + 1) * _DAY
    if name == "N_DAYS_AGO":
        return today - count * _DAY, today - (count - 1) * _DAY
    if len(words) == 3 and words[:2] in (["LAST", "N"], ["NEXT", "N"]):
        unit = words[2].removesuffix("S")
        if words[0] == "LAST":
            return _unit(unit, today, -count)[0], _unit(unit, today, 0)[0]
        return _unit(unit, today, 1)[0], _unit(unit, today, count)[1]
    if len(words) == 3 and (words[0], words[2]) == ("N", "AGO"):
        return _unit(words[1].removesuffix("S"), today, -count)
    raise malformed(f"There is no date literal {name}")


def midnight(day: date) -> datetime:
    """The first instant of a day."""
    return datetime.combine(day, time(), UTC)
