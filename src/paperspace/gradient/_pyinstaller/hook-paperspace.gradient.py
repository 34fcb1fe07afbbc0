# ruff: noqa: N999  # PyInstaller finds it by this name
"""What PyInstaller cannot see: modules that are imported when they are first used, and the data files."""

from PyInstaller.utils.hooks import collect_data_files, collect_submodules, copy_metadata

from paperspace.gradient._shared.graphql_files import graphql_folder

# The pytest plugin needs pytest, which programs do not have.
hiddenimports = collect_submodules(
    "paperspace.gradient", filter=lambda name: not name.endswith("pytest_plugin") and "._testing" not in name
)
datas = [
    *collect_data_files("paperspace.gradient"),
    # In a checkout, this folder is outside the package.
    (str(graphql_folder()), "paperspace/gradient/graphql"),
    *copy_metadata("paperspace-gradient"),
]
