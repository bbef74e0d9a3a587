#!/bin/sh
# Makes the folders of the hub and of one member once, as docs/operate.md does by hand on two machines.
set -eu
cd /var/lib/halong
[ -e hub/hub.toml ] || halong init hub hub --network halong-compose --listen 0.0.0.0:8443 --name hub \
    --log kafka://kafka:9092/compose --yes
[ -e vn/member.toml ] || halong init member vn --id vn --name "Viet Nam Customs" --region asia-pacific \
    --network halong-compose --yes
if ! grep -q '^\[hub\]' vn/member.toml; then
    halong hub admit vn/join-request.json --dir hub --yes
    halong member join hub/welcomes/vn.json --dir vn --yes
fi
