"""Records: what commands print, keep in the run folder, and read from each other; a module per command.

Their parts are the values that the engine returns. The published JSON Schemas (docs/reference/schemas) are made from
them.
"""

__all__: list[str] = []
