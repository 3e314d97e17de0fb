"""`python -m vaa.export RUN --layout urf|corevad|lavad`: a finished run in the files that authors' programs read."""
