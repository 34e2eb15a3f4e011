"""Seconds inside, time codes outside: the one place that reads and writes them, and how probabilities are told."""

import re

_CLOCK = re.compile(r"(?:(?:(?P<h>\d+):)?(?P<m>\d{1,2}):)?(?P<s>\d+(?:[.,]\d*)?|[.,]\d+)", re.ASCII)


def parse_timecode(text: str) -> float:
    """Seconds of `83.5`, `1:23.5` or `00:01:23,500`.

    Raises ValueError if `text` is none of these, or if minutes or seconds after a colon reach 60.
    """
    match = _CLOCK.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"not a time: {text!r}")
    seconds = float(match["s"].replace(",", "."))
    minutes, hours = int(match["m"] or 0), int(match["h"] or 0)
    if (match["m"] is not None and seconds >= 60) or (match["h"] is not None and minutes >= 60):
        raise ValueError(f"not a time: {text!r}")
    return hours * 3600 + minutes * 60 + seconds


def format_timecode(seconds: float, decimals: int = 1) -> str:
    """`83.46` as `01:23.5`, hours in front only where there are any; a negative time gets a minus sign."""
    scale = 10**decimals
    units = round(abs(seconds) * scale)  # rounded once, so that 59.96 becomes 01:00.0 and never 00:60.0
    minutes, units = divmod(units, 60 * scale)
    hours, minutes = divmod(minutes, 60)
    width = 3 + decimals if decimals else 2
    text = f"{minutes:02d}:{units / scale:0{width}.{decimals}f}"
    sign = "-" if seconds < 0 and (hours or minutes or units) else ""
    return f"{sign}{hours:02d}:{text}" if hours else f"{sign}{text}"


def percent(probability: float) -> str:
    """`0.873` as `87 %`; never `100 %`, which nothing that was estimated is."""
    return f"{min(99, round(100 * probability))} %"
