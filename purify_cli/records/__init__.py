"""Records: what commands print, keep in the run folder, and read from each other; a module per command.

The published JSON Schemas (docs/reference/schemas) are made from them.
"""

__all__: list[str] = []
