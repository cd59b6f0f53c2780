"""The numerical work that the estimates share, and how it is spread over threads and processes."""
