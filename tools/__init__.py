"""Modules that the scripts run: the demo, the code generator, the documentation tools, the check of the wheel."""

from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
