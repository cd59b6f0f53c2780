"""The numerical work that the estimates share: products, distances, sums, devices, processes."""
