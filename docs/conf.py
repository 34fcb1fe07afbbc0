"""How Sphinx makes the site out of the pages; run by scripts/docs."""

from __future__ import annotations

import paperspace.gradient

project = "paperspace-gradient"
version = release = paperspace.gradient.__version__

extensions = [
    "myst_nb",  # pages in Markdown, the tutorial as a notebook; never run here, the tests do that
    "sphinx.ext.autodoc",  # the API pages, from the docstrings
    "sphinx.ext.napoleon",  # which are in Google's style
    "sphinx.ext.viewcode",  # the source, for those who want to see
    "sphinxcontrib.svgbob",  # drawings in text become SVG
]

myst_heading_anchors = 3  # links to headings, as code forges make them
nb_execution_mode = "off"

default_role = "code"  # what a docstring has between backticks is code
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
add_module_names = False
python_use_unqualified_type_names = True
nitpick_ignore_regex = [
    # What annotations name besides our own: the standard library, whose pages are on another site,
    ("py:class", r"(.*\.)?(Path|PathLike|datetime|Callable.*|UUID|R)"),
    # and what is no part of the public surface.
    ("py:class", r".*\b(Problem|Runtime|InjectedFault|Deployments|AsyncDeployments)"),
]

html_title = "Gradient Deployments"
html_theme = "furo"  # readable on a phone, light and dark, and loads nothing from anywhere
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False  # the pages are in the repository
html_show_search_summary = False  # it is fetched, which browsers forbid to pages opened from disk
