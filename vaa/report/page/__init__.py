"""A run as a page that opens from disk: `report.html` and the folder `page/` beside it."""
