"""What is kept: accounts, bindings and the call log, in memory for the call path and in a database for good."""
