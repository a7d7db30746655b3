"""Tables and model cards: how records are shown."""
