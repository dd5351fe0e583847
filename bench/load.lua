-- Requests for wrk: one POST per key, made beforehand, sent in turn; the outcome as one JSON line.
-- Arguments after "--": the path with "*" where the key goes, how many keys, the body.

local requests = {}
local position = 0

function init(arguments)
  local path, keys, body = arguments[1], tonumber(arguments[2]), arguments[3]
  local headers = { ["content-type"] = "application/json" }
  for number = 1, keys do
    local own_path = path:gsub("%*", "k" .. number)
    requests[number] = wrk.format("POST", own_path, headers, body)
  end
end

function request()
  position = position % #requests + 1
  return requests[position]
end

function done(summary, latency, _)
  local errors = summary.errors
  local failures = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format(
    '\n{"requests": %d, "seconds": %.6f, "failures": %d, "p50_us": %d, "p99_us": %d}\n',
    summary.requests, summary.duration / 1e6, failures,
    latency:percentile(50), latency:percentile(99)
  ))
end
