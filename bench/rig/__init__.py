"""What benches and interop tests run: the daemon and its peers as processes."""
