"""The text of a PDF, page by page, within bounds."""

import io
import time

MOST_PAGES = 600
MOST_CHARACTERS = 2_000_000
MOST_SECONDS = 20.0


class NoTextError(Exception):
    """Why there is no text, as half a sentence."""


def extract_text(data: bytes) -> str:
    """The text of each page under its number. Meant for a worker thread; raises `NoTextError`."""
    import logging

    from pypdf import PdfReader  # 150 ms, which only a PDF pays

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it tells of every oddity
    end = time.monotonic() + MOST_SECONDS
    pages: list[str] = []
    length = 0
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise NoTextError("it is protected by a password")
        count = len(reader.pages)
        if count > MOST_PAGES:
            raise NoTextError(f"it has {count} pages, and {MOST_PAGES} are read at most")
        for number, page in enumerate(reader.pages, start=1):
            text = page.extract_text().strip()
            if text:
                pages.append(f"[Page {number} of {count}]\n{text}")
            length += len(text)
            if length > MOST_CHARACTERS:
                raise NoTextError(f"its text is longer than {MOST_CHARACTERS} characters")
            if time.monotonic() > end:
                raise NoTextError(f"reading it took more than {MOST_SECONDS:.0f} s")
    except NoTextError:
        raise
    except Exception as error:  # pypdf raises anything for what it can't read, AssertionError included
        raise NoTextError(f"it cannot be read ({type(error).__name__})") from error
    if not pages:
        raise NoTextError("it has no text; scanned pages must be sent as pictures")
    return "\n\n".join(pages)
