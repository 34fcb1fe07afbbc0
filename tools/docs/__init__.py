"""Run the code blocks of the documentation, and write its generated pages."""
