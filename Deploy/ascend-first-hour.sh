#!/bin/sh
# The first hour with an Ascend NPU: collects everything that a report on it needs in one file. A failing step is recorded, and
# the next one runs.
#
#     Deploy/ascend-first-hour.sh [NUMBER of the NPU] [FILE]
#
# Source CANN's set_env.sh first, and RecSDK's if it is installed.
set -u
cd "$(dirname "$0")/.." || exit 1
number=${1:-0}
report=${2:-ascend-report.txt}
genrec=.build/release/genrec
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

step() {
    title=$1
    shift
    { echo; echo "## $title"; echo; } >> "$report"
    "$@" >> "$report" 2>&1
    status=$?
    [ $status -eq 0 ] || echo "(ended with status $status)" >> "$report"
    echo "$title: status $status"
}

machine() {
    uname -srm
    npu-smi info
    cat /usr/local/Ascend/driver/version.info
    cat "${ASCEND_HOME_PATH:-/usr/local/Ascend/ascend-toolkit/latest}"/*/ascend_toolkit_install.info
    env | grep -E '^(ASCEND_|GENREC_)' | sort
    git rev-parse HEAD
}

# Requests of the demo's first eight users, one per line.
requests() {
    awk -F '\t' '
        function flush() {
            if (user != "") printf "{\"history\":{\"items\":[%s],\"timestamps\":[%s]},\"request_time\":%s,\"k\":5}\n", items, times, last + 3600
        }
        NR == 1 { next }
        $1 != user { flush(); if (++users > 8) { user = ""; exit } user = $1; items = times = "" }
        { items = items (items == "" ? "" : ",") "\"" $2 "\""; times = times (times == "" ? "" : ",") $3; last = $3 }
        END { flush() }
    ' Config/demo/interactions.tsv
}

# The demo on a device: its ready line, then its replies, one per line.
replies() {
    "$genrec" serve --config Config/genrec.yaml --listen 127.0.0.1:0 --device "$1" > "$scratch/ready" 2> "$scratch/log" &
    server=$!
    for _ in $(seq 120); do
        grep -q '^genrec .* ready' "$scratch/ready" && break
        kill -0 $server 2> /dev/null || break
        sleep 1
    done
    cat "$scratch/ready"
    grep -v ' info ' "$scratch/log"
    address=$(sed -n 's/.* ready: \(http[^,]*\),.*/\1/p' "$scratch/ready")
    requests > "$scratch/requests"
    while read -r request; do
        [ -n "$address" ] && curl -sS -m 60 -H 'content-type: application/json' --data-binary "$request" "$address/recommend" && echo
    done < "$scratch/requests"
    kill -TERM $server 2> /dev/null
    wait $server
}

: > "$report"
swift build -c release --product genrec && swift build -c release --product AscendConformance || exit 1
step "machine" machine
step "conformance in the chip's own dtype" .build/release/AscendConformance --device "$number"
step "conformance in float16" .build/release/AscendConformance --device "$number" --dtype float16
step "the demo on the NPU" replies "ascend:$number"
step "the demo on the CPU" replies cpu
for device in "ascend:$number" cpu; do
    step "hit rates of the demo on $device" "$genrec" evaluate --bundle Config/demo --interactions Config/demo/interactions.tsv --device "$device"
done
step "times of the demo on the NPU" "$genrec" bench --bundle Config/demo --device "ascend:$number" --batch 32 --length 64
step "times of the demo on the CPU" "$genrec" bench --bundle Config/demo --batch 32 --length 64
echo "written: $report"
