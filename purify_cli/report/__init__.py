"""Records, tables and model cards: how results are written down."""
