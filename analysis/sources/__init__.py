"""Published files to tidy tables: one module per publication, and the manifest that pins and fetches the files."""
