#!/bin/sh
# Stands for every image of a Dify in the tests of its containers: by the container's name it is one service or another, listens on
# that one's port, and answers as health checks want. What it was given stays to be looked at.
say() { mkdir -p "$(dirname "/www/$2")" && printf '%s' "$3" >"/www/$2" && serve "$1"; }
# A first process without a handler hears no TERM: a stop would take its whole time of grace.
serve() { httpd -f -p "$1" -h /www & trap 'exit 0' TERM; wait; }
mkdir -p /www /run
role=$(hostname)
case $role in
# The first password counts for ever, as Postgres has it.
db) [ -e /var/lib/postgresql/data/password ] || printf '%s' "$POSTGRES_PASSWORD" >/var/lib/postgresql/data/password
  [ "$(cat /var/lib/postgresql/data/password)" = "$POSTGRES_PASSWORD" ] || exit 3
  say 5432 ready ok ;;
redis) say 6379 ready ok ;;
ssrf-proxy) say 3128 ready ok ;;
sandbox) say 8194 health ok ;;
# Its start takes its time, as migrations do.
api) sleep "${STAND_IN_START:-2}"; say 5001 health ok ;;
plugin-daemon) say 5002 health/check ok ;;
# Next listens on the address of its host name alone, where it is told nothing else.
web) say "$HOSTNAME:3000" signin ok ;;
nginx) say 80 console/api/setup '{"step":"not_started"}' ;;
weaviate) say 8080 v1/.well-known/ready ok ;;
worker-beat) exec sh -c 'trap exit TERM; sleep 100000 & wait' beat ;;
worker) trap exit TERM; sleep 100000 & wait ;;
*) exec "$@" ;;
esac
