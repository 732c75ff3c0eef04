#!/usr/bin/env bash
# The project's load test: the server at twice its peak, right after that, at 70 % of its peak with mixed history lengths, and
# with callers half of whom disconnect. Where possible, figures are ratios of values measured in the same run; none is asserted.
# Called by `make load-test`; needs a release build, curl and awk.
#
#   FLOOD_SECONDS=60      the duration of the flood (default 20)
#   STEP_SECONDS=20       the duration of the other steps (default 10)
#   DEADLINE_MS=200       the deadline of the flood's requests
#   BUNDLE=DIR            the bundle to serve, and
#   INTERACTIONS=FILE     its histories (default: the demo's)
#   LENGTHS=16:2048       the mixed lengths
#   OPTIONS=…             further options of `genrec load` in steps 1, 2 and 4 (default: --mode sequence --k 20). The demo's
#                         model is so small that a request for the top k costs HTTP more than the engine, and a flood of those
#                         would show how fast this machine moves bytes; generating twenty items keeps the engine the bottleneck
#                         that admission is there to protect. With a model of real size, take OPTIONS="--k 10".
#   CALLERS=64            callers of the closed loops that measure the peak
#   GENREC_SERVE=FILE     a configuration for the server (default: none)
#   APART=1               the server runs on core 0 and the client on the others, so that neither slows the other
#                         (default: they share all cores, and the client's work for twice the peak slows the server)
#   TRACES=DIR            the folder for the flood's and the probe's traces (default: not kept)
set -euo pipefail
cd "$(dirname "$0")/../.."

genrec=${GENREC:-.build/release/genrec}
flood_seconds=${FLOOD_SECONDS:-20}
step_seconds=${STEP_SECONDS:-10}
deadline=${DEADLINE_MS:-200}
bundle=${BUNDLE:-Config/demo}
interactions=${INTERACTIONS:-Config/demo/interactions.tsv}
lengths=${LENGTHS:-16:2048}
read -ra options <<<"${OPTIONS---mode sequence --k 20}"
callers=${CALLERS:-64}

[ -x "$genrec" ] || { echo "load-test: there is no $genrec; make build makes it" >&2; exit 1; }
server_side=()
client_side=()
if [ -n "${APART:-}" ]; then
    command -v taskset >/dev/null || { echo "load-test: taskset is missing" >&2; exit 1; }
    [ "$(nproc)" -gt 1 ] || { echo "load-test: one core is not enough to be apart" >&2; exit 1; }
    server_side=(taskset -c 0)
    client_side=(taskset -c "1-$(($(nproc) - 1))")
fi
command -v curl >/dev/null || { echo "load-test: curl is missing" >&2; exit 1; }

folder=$(mktemp -d)
server=
cleanup() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    [ -z "${TRACES:-}" ] || cp "$folder"/*.tsv "$TRACES" 2>/dev/null || true
    rm -rf "$folder"
}
trap cleanup EXIT

"${server_side[@]}" "$genrec" serve ${GENREC_SERVE:+--config "$GENREC_SERVE"} --bundle "$bundle" --listen 127.0.0.1:0 \
    >"$folder/ready" 2>"$folder/log" &
server=$!
until grep -q '^.*http://' "$folder/ready"; do
    kill -0 "$server" 2>/dev/null || { cat "$folder/log" >&2; exit 1; }
    sleep 0.05
done
url=$(grep -o 'http://[0-9.:]*' "$folder/ready" | head -1)
cat "$folder/ready"

# load NAME OPTION…: runs `genrec load`, stores its report under NAME, and prints its remarks.
load() {
    local name=$1
    shift
    "${client_side[@]}" "$genrec" load --url "$url" --interactions "$interactions" --json "$@" >"$folder/$name.json"
}
# figure NAME MEMBER [FIGURE]: a number from a report; FIGURE is a member of the object MEMBER.
figure() {
    local text
    text=$(cat "$folder/$1.json")
    if [ $# -eq 3 ]; then
        text=$(grep -o "\"$2\":{[^}]*}" <<<"$text" | head -1)
        shift
    fi
    awk -v key="\"$2\":" '{ at = index($0, key); if (at) print substr($0, at + length(key)) + 0; else print 0 }' <<<"$text"
}
# object NAME MEMBER: the text of a report's member.
object() { grep -o "\"$2\":{[^}]*}" "$folder/$1.json" | head -1; }
# metric NAME: the sum of a metric's series; 0 if there is none.
metric() { curl -fsS "$url/metrics" | awk -v name="$1" '$1 == name || index($1, name "{") == 1 { sum += $2 } END { print sum + 0 }'; }
# busy: processor seconds that the server has used. waited: seconds that the device has worked.
busy() { awk -v tick="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); print ($12 + $13) / tick }' "/proc/$server/stat"; }
worked() { calculate "$(metric genrec_prefill_seconds_sum) + $(metric genrec_decode_step_seconds_sum) + $(metric genrec_topk_seconds_sum)" 3; }
# served NAME: replies with status 200.
served() { grep -o '"200":[0-9]*' "$folder/$1.json" | cut -d: -f2 || echo 0; }
calculate() { awk -v digits="${2:-2}" "BEGIN { printf \"%.\" digits \"f\", $1 }"; }

echo
echo "1. Peak: $callers callers that wait for their replies, ${step_seconds} s"
load warm "${options[@]}" --connections "$callers" --seconds 2
busy_before=$(busy)
load peak "${options[@]}" --connections "$callers" --seconds "$step_seconds"
peak_busy=$(calculate "$(busy) - $busy_before")
peak=$(figure peak throughput)
echo "   throughput $peak/s, p50 $(figure peak latency_ms p50) ms, p99 $(figure peak latency_ms p99) ms, $(object peak statuses)"

echo
echo "2. Flood: twice the peak for ${flood_seconds} s, deadline ${deadline} ms"
# A caller with a small load before, during and after the flood; its trace shows when the server has recovered.
probe_rate=20
recovery_seconds=5
"${client_side[@]}" "$genrec" load --url "$url" --interactions "$interactions" --json "${options[@]}" --rate "$probe_rate" --deadline-ms "$deadline" \
    --seconds "$((flood_seconds + recovery_seconds + 2))" --trace "$folder/probe.tsv" >"$folder/probe.json" &
probe=$!
sleep 1
busy_before=$(busy)
load flood "${options[@]}" --rate "$(calculate "2 * $peak")" --seconds "$flood_seconds" --deadline-ms "$deadline" \
    --max-connections 8192 --trace "$folder/flood.tsv"
flood_end=$(awk -v seconds="$flood_seconds" 'NR == 2 { printf "%.6f", $1 + seconds }' "$folder/flood.tsv")
flood_busy=$(calculate "$(busy) - $busy_before")
wait "$probe"
# Served, and served in time, relative to the peak; replies of any status show how fast the server refuses.
ok_rate=$(calculate "$(served flood) / $(figure flood seconds)")
echo "   status 200 / peak       $(calculate "$ok_rate / $peak")"
echo "   goodput / peak          $(calculate "$(figure flood goodput) / $peak")"
# Nearly equal, unless long histories are refused more often than short ones.
events() { calculate "$(figure "$1" replies history_used) / $(figure "$1" seconds)"; }
echo "   events served / peak's  $(calculate "$(events flood) / $(events peak)")"
# On a shared machine the client needs more processor time to offer twice the peak than to offer the peak, and other processes may
# need some too.
echo "   the same a second of the server's processor time" \
    "$(calculate "$(served flood) / $flood_busy / ($(served peak) / $peak_busy)")," \
    "of which it had $(calculate "$flood_busy / $(figure flood seconds)") a second, at the peak" \
    "$(calculate "$peak_busy / $(figure peak seconds)")"
echo "   replies / offered       $(calculate "$(figure flood throughput) / $(figure flood offered_rate)")"
echo "   admitted p99 / deadline $(calculate "$(figure flood admitted_service_ms p99) / $deadline")," \
    "from the intended time $(calculate "$(figure flood admitted_latency_ms p99) / $deadline")"
echo "   refused p99             $(figure flood refused_latency_ms p99) ms"
echo "   $(object flood statuses)"
echo "   client lag p99          $(figure flood schedule_lag_ms p99) ms, waits for a connection $(figure flood waits)"
# Recovered: from this moment on, every probe gets a 200 within the deadline.
awk -v end="$flood_end" -v deadline="$deadline" '
    NR == 1 { next }
    $1 > end {
        after++
        if ($3 != 200 || $2 > deadline) recovered = $1 - end
    }
    END {
        if (!after) print "   recovery                not measured: no probe came after the flood"
        else printf "   recovery                %.2f s after the flood (%d probes after it)\n", recovered, after
    }' "$folder/probe.tsv"

echo
echo "3. 70 % of the peak of histories of $lengths events, ${step_seconds} s"
load mixed_peak --connections "$callers" --seconds "$step_seconds" --lengths "$lengths"
mixed_peak=$(figure mixed_peak throughput)
load mixed --rate "$(calculate "0.7 * $mixed_peak")" --seconds "$step_seconds" --lengths "$lengths"
echo "   peak $mixed_peak/s; p50 $(figure mixed latency_ms p50) ms, p99 $(figure mixed latency_ms p99) ms," \
    "p99/p50 $(calculate "$(figure mixed latency_ms p99) / $(figure mixed latency_ms p50)" 1), $(object mixed statuses)"

# The same share of the peak with equal histories isolates the queue's part. Poisson arrivals at 70 % of a server with constant
# service time, one request at a time, have p99/p50 = 4.3 whatever its speed (M/D/1).
middle=$(((${lengths%:*} + ${lengths#*:}) / 2))
load equal_peak --connections "$callers" --seconds "$step_seconds" --lengths "$middle:$middle"
load equal --rate "$(calculate "0.7 * $(figure equal_peak throughput)")" --seconds "$step_seconds" --lengths "$middle:$middle"
echo "   all of $middle: p50 $(figure equal latency_ms p50) ms, p99 $(figure equal latency_ms p99) ms," \
    "p99/p50 $(calculate "$(figure equal latency_ms p99) / $(figure equal latency_ms p50)" 1)"

echo
echo "4. Half of the callers go away, ${step_seconds} s at the peak's rate"
descriptors() { find "/proc/$server/fd" -mindepth 1 | wc -l; }
resident() { awk '/^VmRSS:/ { print $2 }' "/proc/$server/status"; }
before=$(descriptors)
memory_before=$(resident)
wasted_before=$(metric genrec_wasted_compute_seconds_total)
worked_before=$(worked)
cancelled_before=$(metric genrec_cancelled_total)
load abandon "${options[@]}" --rate "$peak" --seconds "$step_seconds" --abandon 0.5
# Closed connections are counted as gone once the server has checked them.
for _ in $(seq 50); do
    [ "$(descriptors)" -gt "$before" ] || break
    sleep 0.1
done
wasted=$(calculate "$(metric genrec_wasted_compute_seconds_total) - $wasted_before" 3)
echo "   $(figure abandon requests abandoned) of $(figure abandon requests begun) went away;" \
    "cancelled at the server: $(calculate "$(metric genrec_cancelled_total) - $cancelled_before" 0)"
if curl -fsS "$url/metrics" | grep -q '^genrec_wasted_compute_seconds_total'; then
    # A batch of histories and steps counts in two of the sums; the result is at most the elapsed time.
    device=$(calculate "$(worked) - $worked_before" 3)
    device=$(calculate "$device < $step_seconds ? $device : $step_seconds" 3)
    echo "   wasted compute          $wasted s, of $device s that the device worked $(calculate "100 * $wasted / $device" 1) %"
else
    echo "   wasted compute          not counted by this server"
fi
echo "   descriptors             $before before, $(descriptors) after"
echo "   resident                $memory_before kB before, $(resident) kB after," \
    "ratio $(calculate "$(resident) / $memory_before")"
echo "   goodput / throughput    $(calculate "$(figure abandon goodput) / $(figure abandon throughput)")"
