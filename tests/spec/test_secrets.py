"""Messages about a spec file do not quote what may be secret."""

from __future__ import annotations

import traceback

import pytest

from paperspace.gradient import InvalidSpecError
from paperspace.gradient._spec.files import parse_file

MARKER = "hunter2hunter2"

SYNTAX_ERRORS = [
    ("yaml", f"image: a\nenv: *{MARKER}\n"),
    ("yaml", f"image: a\nenv: !{MARKER} b\n"),
    ("yaml", f"image: !<{MARKER}> b\n"),
    ("yaml", f"a: &{MARKER} 1\nb: &{MARKER} 2\n"),
    ("yaml", f"image: '{MARKER}\n"),
    ("yaml", f"image: a\n{MARKER}\nport: 1\n"),
    ("yaml", f'image: "\\q{MARKER}"\n'),
    ("yaml", f"image: {{a: {MARKER}\n"),
    ("yaml", f"image: |{MARKER}\n"),
    ("yaml", f"image: @{MARKER}\n"),
    ("yaml", f"image: \x07{MARKER}\n"),
    ("yaml", f"? [{MARKER}]\n: 1\n"),
    ("yaml", f"port: !!int x{MARKER}\n"),
    ("yaml", f"port: !!float x{MARKER}\n"),
    ("yaml", f"enabled: !!bool x{MARKER}\n"),
    ("yaml", f"port: !!timestamp x{MARKER}\n"),
    ("yaml", f"image: !!binary {MARKER}\N{LATIN SMALL LETTER E WITH ACUTE}\n"),
    ("yaml", "port: !!int ''\n"),
    ("yaml", f"TOKEN={MARKER}\n"),
    ("json", f'"TOKEN={MARKER}"'),
    ("json", f'{{"image": "{MARKER}" "b"}}'),
    ("json", f'{{"image": "\\q{MARKER}"}}'),
    ("jsonc", f'{{"image": {MARKER}}}'),
    ("toml", f"image = {MARKER}"),
    ("toml", f'image = "{MARKER}'),
    ("toml", f'image = "\\q{MARKER}"'),
    ("toml", f"image = 1{MARKER}"),
]


@pytest.mark.parametrize(("suffix", "text"), SYNTAX_ERRORS, ids=range(len(SYNTAX_ERRORS)))
def test_syntax_errors_quote_nothing(suffix: str, text: str) -> None:
    """A syntax error does not quote the file, neither in its message nor in its traceback nor in its context."""
    with pytest.raises(InvalidSpecError) as caught:
        parse_file(text, f"a.{suffix}", f".{suffix}")
    assert str(caught.value).startswith(f"a.{suffix}:")
    assert caught.value.__context__ is None
    assert MARKER not in "".join(traceback.format_exception(caught.value)) + repr(caught.value.problems)
