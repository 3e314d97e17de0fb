"""The page of a run, which opens from disk: `report.html` and the folder `page/` beside it."""
