"""Claims against measurements: verdicts, the report and the command line."""
