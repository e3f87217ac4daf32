"""Where things are kept: the adapters of journal, catalog, series and objects."""
