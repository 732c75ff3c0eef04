#!/usr/bin/env bash
# HTTP and JSON alone, against nginx: a `POST /recommend` of 1.4 kB with only unknown items, which genrec answers by popularity
# without computing, against a constant reply of the same size from nginx. Both run on one core and the client on another,
# alternating. Then the latency added by an idle server and by one at half load, and an idle server's cost.
#
#   Tests/Benchmarks/http.sh [ROUNDS] [SECONDS]      default 9 rounds of 2 seconds
#
# Needs wrk, nginx and curl (make bench-http installs them), python3, a release build, and a quiet machine.
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-9}
seconds=${2:-2}
server_core=${SERVER_CORE:-0}
client_core=${CLIENT_CORE:-1}
binary=${GENREC:-.build/release/genrec}
folder=$(mktemp -d)
trap 'kill ${pids:-} 2>/dev/null || true; rm -rf "$folder"' EXIT
pids=

port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
median() { sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }
await() { for _ in $(seq 200); do curl -so /dev/null "$1" && return; sleep 0.05; done; echo "nothing answers at $1" >&2; exit 1; }

# The request: 78 ids that the catalogue does not know.
{
    printf '{"history":{"items":['
    for i in $(seq 78); do printf '%s"unknown-%06d"' "$([ "$i" = 1 ] || echo ,)" "$i"; done
    printf ']},"k":10}'
} > "$folder/body.json"
cat > "$folder/post.lua" <<LUA
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local file = io.open("$folder/body.json")
wrk.body = file:read("*a")
file:close()
done = function(summary, latency)
    io.write(string.format("RESULT %f %d\n", summary.requests / summary.duration * 1e6,
        summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
LUA

genrec_port=$(port)
taskset -c "$server_core" "$binary" serve --listen "127.0.0.1:$genrec_port" >"$folder/genrec.log" 2>&1 &
genrec=$!
pids="$pids $genrec"
await "http://127.0.0.1:$genrec_port/health/ready"
reply=$(curl -s -H 'Content-Type: application/json' -d @"$folder/body.json" "http://127.0.0.1:$genrec_port/recommend")

nginx_port=$(port)
cat > "$folder/nginx.conf" <<CONF
worker_processes 1;
daemon off;
pid $folder/nginx.pid;
error_log $folder/nginx.log;
events { worker_connections 1024; }
http {
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path $folder; proxy_temp_path $folder; fastcgi_temp_path $folder; uwsgi_temp_path $folder; scgi_temp_path $folder;
    default_type application/json;
    server {
        listen 127.0.0.1:$nginx_port;
        location / { return 200 '$reply'; }
    }
}
CONF
taskset -c "$server_core" nginx -p "$folder" -c "$folder/nginx.conf" &
pids="$pids $!"
await "http://127.0.0.1:$nginx_port/"

# Requests per second of one server with this many connections.
run() {
    taskset -c "$client_core" wrk -t1 -c"$2" -d"${seconds}s" -s "$folder/post.lua" "http://127.0.0.1:$1/recommend" |
        awk '$1 == "RESULT" { if ($3 > 0) { print "errors: " $3 > "/dev/stderr"; exit 1 }; print $2 }'
}

printf 'request %s bytes, reply %s bytes, %s rounds of %s s in turns, server on core %s, client on core %s\n\n' \
    "$(wc -c < "$folder/body.json")" "${#reply}" "$rounds" "$seconds" "$server_core" "$client_core"
printf '%-12s %14s %14s %8s\n' connections 'nginx req/s' 'genrec req/s' ratio
for connections in 1 64; do
    run "$nginx_port" "$connections" >/dev/null
    run "$genrec_port" "$connections" >/dev/null
    : > "$folder/nginx"; : > "$folder/genrec"; : > "$folder/ratio"
    for _ in $(seq "$rounds"); do
        n=$(run "$nginx_port" "$connections")
        g=$(run "$genrec_port" "$connections")
        echo "$n" >> "$folder/nginx"
        echo "$g" >> "$folder/genrec"
        awk "BEGIN { print $g / $n }" >> "$folder/ratio"
    done
    printf '%-12s %14.0f %14.0f %8.2f\n' "$connections" "$(median < "$folder/nginx")" "$(median < "$folder/genrec")" \
        "$(median < "$folder/ratio")"
    full=$(median < "$folder/genrec")
done

half=$(awk "BEGIN { print int($full / 2) }")
printf '\n%-34s %9s %9s %9s %9s\n' 'latency from the intended time, us' p50 p90 p99 max
for target in "nginx $nginx_port" "genrec $genrec_port"; do
    read -r name target_port <<< "$target"
    for load in "idle:100:1" "half load:$half:64"; do
        IFS=: read -r label rate connections <<< "$load"
        read -r p50 p90 p99 max wrong < <(taskset -c "$client_core" python3 Tests/Benchmarks/latency.py "$binary" \
            "$target_port" "$rate" "$connections" 5)
        [ "$wrong" = 0 ] || echo "$wrong requests did not end with 200" >&2
        printf '%-34s %9s %9s %9s %9s\n' "$name, $label ($rate/s)" "$p50" "$p90" "$p99" "$max"
    done
done

# utime and stime of all threads, in ticks of 10 ms.
ticks() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$genrec/stat"; }
sleep 1
t=$(ticks)
sleep 10
printf '\nidle for 10 s: %d ms of CPU\n' "$((($(ticks) - t) * 10))"
