#!/bin/sh
# Makes the secrets of compose.yml, or with `cluster` those of compose.cluster.yml, in ./secrets: one
# file each, readable by the user of the container that needs it and by nobody else. As root, from
# this folder:
#
#   ./secrets.sh            or   ./secrets.sh cluster
#
# What is there already is kept, so that it can be run again.
set -eu
umask 077
cd "$(dirname "$0")"
mkdir -p secrets

case "${1:-simple}" in
  simple) members=mongodb:27017 ;;
  cluster) members=mongodb1:27017,mongodb2:27017,mongodb3:27017 ;;
  *) echo "usage: $0 [simple|cluster]" >&2; exit 2 ;;
esac

# Users inside the images: Pulseboard, MongoDB and Redis.
pulseboard=65532 mongodb=999 redis=999

random() { openssl rand -hex 32; }
# keep NAME USER: writes what comes in, unless it is there; only the user may read it.
keep() {
  if [ -e "secrets/$1" ]; then cat >/dev/null; else cat > "secrets/$1"; fi
  chmod 400 "secrets/$1"
  if [ "$(id -u)" = 0 ]; then chown "$2" "secrets/$1"; fi
}

random | keep auth.secret "$pulseboard"
# How members of the replica set know each other, and its two users' passwords.
random | keep mongodb.key "$mongodb"
random | keep mongodb.admin "$mongodb"
random | keep mongodb.pulseboard "$mongodb"
password=$(cat secrets/mongodb.pulseboard)
# Made of the others each time.
rm -f secrets/mongodb.uri secrets/redis.url
echo "mongodb://pulseboard:$password@$members/pulseboard?replicaSet=pulseboard&authSource=pulseboard" \
  | keep mongodb.uri "$pulseboard"
if [ "${1:-simple}" = cluster ]; then
  echo "requirepass $(random)" | keep redis.conf "$redis"
  password=$(cut -d' ' -f2 secrets/redis.conf)
  echo "redis://:$password@redis:6379" | keep redis.url "$pulseboard"
fi
if [ "$(id -u)" != 0 ]; then
  echo "not root: the files belong to you, and the containers cannot read them" >&2
fi
