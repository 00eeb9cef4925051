"""The benchmark: latency, throughput and memory, measured the same way for every runtime."""
