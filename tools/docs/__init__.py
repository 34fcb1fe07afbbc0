"""Run the code blocks of the pages, and generate pages."""
