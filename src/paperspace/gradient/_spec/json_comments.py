"""Comments and trailing commas in JSON."""

from __future__ import annotations

import re

from paperspace.gradient.errors import InvalidSpecError

# No part scans text that another part scans again, so that the work is linear in any text: a comment or string without
# an end is one part up to the end of the text.
# No possessive quantifiers on groups: Python 3.11.2, that of Debian 12, matches them wrongly.
_PARTS = re.compile(
    r"""
      (?P<string> "(?:[^"\\]++|\\.)*"? )
    | (?P<comment> //[^\n]*+ | /\*(?:[^*]++|\*(?!/))*(?P<end>\*/)? )
    | (?P<blank> \s++ )
    | (?P<other> [^"/\s,\]}]++ | . )
    """,
    re.DOTALL | re.VERBOSE,
)


def without_comments(text: str, file: str) -> str:
    """Replace comments and trailing commas by spaces, so that positions stay the same.

    Raises:
        InvalidSpecError: a comment has no end.
    """
    parts: list[str] = []
    comma: int | None = None  # the index of a comma that only blanks and comments follow so far
    for match in _PARTS.finditer(text):
        part = match[0]
        if match.lastgroup == "comment":
            if part.startswith("/*") and not match["end"]:
                start = match.start()
                line, column = text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)
                raise InvalidSpecError(f"{file}:{line}:{column}: invalid JSON: the comment has no end")
            part = re.sub(r"[^\n]", " ", part)
        elif match.lastgroup != "blank":
            if part in {"]", "}"} and comma is not None:
                parts[comma] = " "
            comma = len(parts) if part == "," else None
        parts.append(part)
    return "".join(parts)
