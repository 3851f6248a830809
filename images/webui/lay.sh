#!/bin/sh
# Runs in the build of images/webui: each step that has inputs, in order, as `up` would; then takes away what is one workspace's own.
set -eu
workspace=/atelier/workspace
chmod 700 "$workspace"/bin/*
for inputs in /atelier/inputs/*; do
  step=$(basename "$inputs")
  echo "== $step" >&2
  sh "$workspace/bin/$step" apply <"$inputs"
done
# Its identity, its logs and its locks; `up` lays the scripts anew.
rm -rf /atelier/workspace/run /atelier/workspace/logs /atelier/workspace/bin /atelier/cache/uses /atelier/inputs /atelier/lay.sh /tmp/* /root/.cache
