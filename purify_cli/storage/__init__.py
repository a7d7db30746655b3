"""Between the command line and the engine: where models come from, and what commands leave in the run folder.

``origin`` (an argument, a record or the run folder names a model), ``record_files`` (records are written and read),
``ownership`` (what may be replaced), ``saving`` (a model is written).
"""

__all__: list[str] = []
