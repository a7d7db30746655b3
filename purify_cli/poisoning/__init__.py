"""An attack carried out: the request, checked (``plan``), and the model that comes of it (``plant``)."""

__all__: list[str] = []
