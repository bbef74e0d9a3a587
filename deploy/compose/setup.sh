#!/bin/sh
# Makes the folders of the hub, its secretariat and one member once, as README does by hand on three machines.
set -eu
cd /var/lib/halong
[ -e hub/hub.toml ] || halong init hub hub --network halong-compose --listen 0.0.0.0:8443 --name hub \
    --log kafka://kafka:9092/compose --yes
if [ ! -e secretariat/secretariat.toml ]; then
    halong directory init secretariat --hub hub/hub.json --yes
    halong hub take secretariat/root-1.json secretariat/targets-1.json --dir hub --yes
fi
if [ ! -e vn/member.toml ]; then
    halong member invite vn --name "Viet Nam Customs" --region asia-pacific --dir secretariat
    halong member join secretariat/invitation-vn.json --dir vn --yes
fi
if ! grep -q '^\[hub\]' vn/member.toml; then
    halong member approve vn/join-request.json --dir secretariat --yes \
        --key secretariat/keys/secretariat-1.pem --key secretariat/keys/secretariat-2.pem
    halong hub take secretariat/targets-2.json vn/join-request.json --dir hub --yes
    halong member join hub/welcomes/vn.json --dir vn --yes
fi
