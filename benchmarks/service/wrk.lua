-- Tells what asking.py reads: requests, and in microseconds how long they took, p50 and p99; errors.
done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format("figures %d %d %d %d %d\n",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
