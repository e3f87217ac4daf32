"""The stores: adapters of journal, catalog, series and objects."""
