"""Real exports: how their files are read, recognised and mapped to the tables of the contract."""
