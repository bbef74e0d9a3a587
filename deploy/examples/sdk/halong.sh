#!/bin/sh
# A node's local API from the shell, with curl and jq.
#
#     sh halong.sh publish http://127.0.0.1:8446 TOKEN_FILE NOTICE_FILE [SOURCE]
#     sh halong.sh read    http://127.0.0.1:8446 TOKEN_FILE PLACE_FILE
set -eu
command=$1 url=$2 token_file=$3

# The token goes to curl by a file of settings: on the command line everybody on the machine could see it.
# What is refused is told with its code and field, and ends the script.
ask() {
    answer=$(printf 'header = "Authorization: Bearer %s"\n' "$(cat "$token_file")" |
        curl --silent --fail-with-body --retry 5 --retry-connrefused --config - "$@") || {
        echo "$answer" | jq -r '"\(.code) \(.field // ""): \(.detail)"' >&2
        exit 1
    }
    echo "$answer"
}

case $command in
publish)
    key=${5:-shell/$(cksum <"$4" | tr ' ' -)}
    sent=$(ask --json "@$4" -H "Idempotency-Key: $key" "$url/v1/notices")
    state=$(ask "$url/v1/notices/$(echo "$sent" | jq '.notices[0].id')?stage=delivered&wait=30")
    echo "$state" | jq -r '"\(.stage) \(.reference) \(.delivered) of \(.receivers)"'
    ;;
read)
    place=$(cat "$4" 2>/dev/null || echo 0)
    while
        page=$(ask "$url/v1/deliveries?after=$place")
        echo "$page" | jq -r '.deliveries[] | "delivery \(.place) \(.reference) \(.type)"'
        for delivery in $(echo "$page" | jq -r '.deliveries[].delivery'); do
            ask -X POST "$url/v1/deliveries/$delivery/read" >/dev/null
        done
        place=$(echo "$page" | jq .place)
        echo "$place" >"$4"
        test "$(echo "$page" | jq .more)" = true
    do :; done
    ;;
esac
