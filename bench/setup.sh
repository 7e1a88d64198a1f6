#!/bin/sh
# Installs what the benchmark compares with, on Debian or Ubuntu. Only gcc is needed for the yardstick itself; a peer
# that is missing is left out of the table and named below it. Bun and Deno go to a folder outside the repository.
set -eu
folder=${BENCH_PEERS_DIR:-/tmp/eventmachine-bench-peers}

apt-get update -qq
apt-get install -y -qq gcc libc6-dev libssl-dev openssl libuv1-dev golang-go python3-uvloop python3-twisted ruby-eventmachine \
  haproxy nginx-light libnginx-mod-stream

mkdir -p "$folder"
npm install --prefix "$folder" --no-audit --no-fund bun@1 deno@2
"$folder/node_modules/.bin/bun" --version
"$folder/node_modules/.bin/deno" --version
