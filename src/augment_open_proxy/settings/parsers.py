"""From the text of a setting to its value. A `ValueError` says what is accepted."""

import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

MOST_WORKERS = 64
CERTIFICATES = "a PEM file of certificates that can be read"

T = TypeVar("T")
Parser = Callable[[str], T]


def optional(parse: Parser[T]) -> Parser[T | None]:
    return lambda text: parse(text) if text else None


def whole(low: int, high: int, accepted: str = "") -> Parser[int]:
    words = accepted or f"a whole number from {low} to {high}"

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text) or not low <= int(text) <= high:
            raise ValueError(words)
        return int(text)

    return parse


def workers(text: str) -> int:
    if text.lower() == "auto":
        return 1 if sys.platform == "win32" else min(_cores(), MOST_WORKERS)
    number = _count_of_workers(text)
    if sys.platform == "win32" and number > 1:
        raise ValueError("1: processes cannot share a port on Windows as this needs it")
    return number


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def one_of(values: Mapping[str, T]) -> Parser[T]:
    *words, last = dict.fromkeys(str(value) for value in values.values())

    def parse(text: str) -> T:
        value = values.get(text.lower())
        if value is None:
            raise ValueError(f"{', '.join(words)} or {last}")
        return value

    return parse


_count_of_workers = whole(1, MOST_WORKERS, f"a whole number from 1 to {MOST_WORKERS}, or auto: one for each core")
_milliseconds = whole(0, 10**12, "a whole number of milliseconds, or 0 for no limit")


_YES_OR_NO = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def yes_or_no(text: str) -> bool:
    value = _YES_OR_NO.get(text.lower())
    if value is None:
        raise ValueError("true or false")
    return value


def factor(text: str) -> float:
    if not re.fullmatch(r"\d{1,3}(\.\d{1,9})?", text) or not 0.1 <= float(text) <= 10:
        raise ValueError("a number from 0.1 to 10")
    return float(text)


def days(text: str) -> float:
    if not re.fullmatch(r"\d{1,5}(\.\d{1,9})?", text) or float(text) == 0:
        raise ValueError("a number of days, more than 0")
    return float(text) * 86400


def store_url(text: str) -> str:
    if text in ("", "memory") or re.match(r"(sqlite:///.|postgres(ql)?://.)", text):
        return text
    raise ValueError("memory, sqlite:///FILE or postgresql://USER@HOST/DATABASE")


def timeout(text: str) -> float | None:
    return _milliseconds(text) / 1000 or None


def token(text: str) -> str:
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError("a token without spaces and line breaks, in ASCII")
    return text


def url(text: str) -> str:
    words = "an http or https URL without user name, query and fragment"
    try:
        url = urlsplit(text)
        sound = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        raise ValueError(words) from None
    if not sound or "@" in url.netloc or re.search(r"[?#\s\x00-\x1f]", text):
        raise ValueError(words)
    return text.rstrip("/")


def host(text: str) -> str:
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if not re.fullmatch(r"[A-Za-z0-9_.:%-]+", bare) or re.fullmatch(r"[^:]*:[0-9]*", bare):
        raise ValueError("a host name or an address, without scheme and port")
    return bare


def words(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def hosts(text: str) -> tuple[str, ...]:
    return tuple(host(name).lower() for name in words(text))


def fallbacks(text: str) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for pair in words(text):
        model, _, fallback = pair.partition("=")
        if not model or not fallback:
            raise ValueError("pairs of models, such as claude-sonnet-4-6=claude-sonnet-4-5, separated by commas")
        found.append((model, fallback))
    return tuple(found)


def keys(text: str) -> tuple[str, ...]:
    given = words(text)
    if not all(re.fullmatch(r"[!-~]{8,}", key) for key in given):
        raise ValueError("keys of at least 8 characters each, in ASCII without spaces, separated by commas")
    return given


def origins(text: str) -> tuple[str, ...]:
    given = tuple(origin.rstrip("/") for origin in words(text))
    if not all(re.fullmatch(r"[a-z][a-z0-9+.-]*://[^\s/?#*@]+", origin) for origin in given):
        raise ValueError("origins such as https://chat.example.org, without path and wildcard, separated by commas")
    return tuple(origin.lower() for origin in given)


def origins_but_all(text: str) -> tuple[str, ...]:
    """The original's setting, whose `*` let every page in: it is not heard, rather than that the start fails."""
    return () if text == "*" else origins(text)


def path(text: str) -> Path:
    try:
        found = Path(text).expanduser()
    except RuntimeError:
        raise ValueError("a path below a home folder that exists") from None
    if "\0" in text:
        raise ValueError("a path")
    return found


def existing_file(text: str) -> Path:
    found = path(text)
    if not is_file(found):
        raise ValueError("a file that exists")
    return found


def certificates(text: str) -> Path:
    import ssl

    found = existing_file(text)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(found)
    except OSError:
        raise ValueError(CERTIFICATES) from None
    return found


def tolerant(parse: Parser[T]) -> Parser[T | None]:
    """What cannot be used is as good as unset."""

    def parse_if_sound(text: str) -> T | None:
        try:
            return parse(text)
        except ValueError:
            return None

    return parse_if_sound


def is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a folder above it that may not be entered
        return False
