"""The statistics: tables in, documented records and tidy frames out. One module or package a method."""
