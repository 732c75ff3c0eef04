#!/usr/bin/env bash
# Attacks a server that it starts, measuring a second client's latency meanwhile: crowd.py with ten thousand connections, then
# slowhttptest's slow headers, slow body and slow reading. Needs slowhttptest, python3, curl and a release build.
#
#   Tests/Benchmarks/attacks.sh [CONNECTIONS]
set -euo pipefail
cd "$(dirname "$0")/../.."
connections=${1:-10000}
binary=${GENREC:-.build/release/genrec}
folder=$(mktemp -d)
trap 'kill ${server:-} ${attack:-} 2>/dev/null || true; rm -rf "$folder"' EXIT

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
# The crowd must stay for the whole measurement; slowhttptest runs against the default timeouts.
start() {
    "$@" "$binary" serve --listen "127.0.0.1:$port" >/dev/null 2>"$folder/log" &
    server=$!
    for _ in $(seq 200); do curl -so /dev/null "http://127.0.0.1:$port/health/ready" && return; sleep 0.05; done
    echo "the server did not start" >&2
    exit 1
}
# Median and p99 in microseconds of a second client during this many seconds.
measure() {
    read -r p50 _ p99 _ wrong < <(python3 Tests/Benchmarks/latency.py "$binary" "$port" 200 4 "$1")
    [ "$wrong" = 0 ] || { echo "$wrong requests did not end with 200" >&2; exit 1; }
}

start env GENREC_HTTP_FIRST_BYTE_TIMEOUT_MS=120000 GENREC_HTTP_HEADER_TIMEOUT_MS=120000
python3 Tests/Benchmarks/crowd.py "$binary" "$port" "$server" "$connections"
kill "$server"; wait "$server" || true

start env
measure 8
alone=$p99
printf '\n%-28s p50 %7s us  p99 %7s us\n' "alone" "$p50" "$p99"
url="http://127.0.0.1:$port"
for kind in "headers -H -u $url/" "body -B -u $url/recommend -f application/json" "read -X -u $url/openapi.json -w 10 -y 20 -n 5 -z 32 -k 3"; do
    read -r name arguments <<< "$kind"
    # shellcheck disable=SC2086
    slowhttptest -c 2000 $arguments -i 5 -r 500 -l 12 -p 3 > "$folder/slow" 2>&1 &
    attack=$!
    sleep 2
    measure 8
    wait "$attack" || true
    attack=
    printf '%-28s p50 %7s us  p99 %7s us, %s of that alone; slowhttptest says the service was available: %s\n' \
        "beside slow $name" "$p50" "$p99" "$(awk "BEGIN { printf \"%.2f\", $p99 / $alone }")" \
        "$(sed 's/\x1b\[[0-9;]*m//g' "$folder/slow" | awk '/service available:/ { a = $3 } END { print a }')"
    curl -sf -o /dev/null "$url/health/live"
done
kill "$server"; wait "$server" || true
