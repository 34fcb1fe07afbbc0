"""Plain data as YAML that is read back as the same data."""

from __future__ import annotations

_LINE_BREAKS = set("\x85\u2028\u2029")


def yaml_text(data: object, *, allow_unicode: bool = True) -> str:
    """Return plain data as YAML.

    Args:
        data: The data.
        allow_unicode: Whether the text may have characters that are not ASCII. False: they are escaped.
    """
    import yaml

    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=allow_unicode)
    if _LINE_BREAKS.intersection(text):
        # PyYAML writes them unescaped, and reads them as spaces or line feeds. Without Unicode, it escapes them.
        text = yaml.safe_dump(data, sort_keys=False)
    return text
