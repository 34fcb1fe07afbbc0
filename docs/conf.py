"""Configuration of Sphinx, which builds the site. Run by scripts/docs."""

from __future__ import annotations

import paperspace.gradient

project = "paperspace-gradient"
version = release = paperspace.gradient.__version__

extensions = [
    "myst_nb",  # Markdown pages and the notebook; not run here, because the tests run them
    "sphinx.ext.autodoc",  # API pages from docstrings
    "sphinx.ext.napoleon",  # docstrings in Google style
    "sphinx.ext.viewcode",  # links to the source code
    "sphinxcontrib.svgbob",  # text diagrams become SVG
    "sphinx_copybutton",  # a button that copies a block
    "tools.docs.charts",  # charts of the tables on the page
]

myst_heading_anchors = 3  # the same heading links as on code forges
nb_execution_mode = "off"

default_role = "code"  # text in backticks in a docstring is code
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
add_module_names = False
python_use_unqualified_type_names = True
nitpick_ignore_regex = [
    # Names of the standard library and of pytest in annotations: they are documented on another site.
    ("py:class", r"(.*\.)?(Path|PathLike|datetime|Callable.*|UUID|R|MonkeyPatch)"),
    # Parts of types in tables of attributes, which Sphinx splits at the comma.
    ("py:class", r"(tuple|Mapping)\[str"),
    # Names that are not public.
    (
        "py:class",
        r".*\b(ConsolePage|ControlledDeployments|Engine|Gateway|Options|Runtime|Fault|Handler|Deployments|AsyncDeployments)",
    ),
]

# The button copies what is typed, without prompts and output.
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_line_continuation_character = "\\"

html_title = "Gradient Deployments"
html_theme = "furo"  # works on phones, has light and dark mode, loads nothing from the network
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False  # the pages are in the repository
html_show_search_summary = False  # browsers do not let a page that is opened from disk fetch the text
