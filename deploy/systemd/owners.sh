#!/bin/sh
# Who may read what on a machine of a federation: folders, owners and modes of keys and of a node's data. As root, after a
# file was put in place; what is right stays, so it may be repeated. `concord` runs SuperLink and SuperNode, `concord-app`
# the code of runs. Folders that a program alone writes (superlink, state, flower, flower-app) are made by systemd.
# Guide: deploy/README.md
set -eu
root=${CONCORD_ROOT:-} concord=${CONCORD_USER:-concord} app=${CONCORD_APP_USER:-concord-app} # others in tests
etc=$root/etc/concord lib=$root/var/lib/concord

own() { # owner:group, mode, files: those that are there
  owner=$1 mode=$2
  shift 2
  for file; do
    if [ -e "$file" ]; then chown "$owner" "$file" && chmod "$mode" "$file"; fi
  done
}

install -d -m 0755 -o root -g root "$etc" "$lib"
own root:root 0644 "$etc"/*.crt "$etc"/*.pub "$etc"/*.env
own "root:$concord" 0640 "$etc"/*.key
own "$concord:$app" 0440 "$etc/superexec.secret" # the one secret that both need

# An agent's keys, in a folder of its name.
for key in "$etc"/*/peer.key; do
  own root:root 0755 "${key%/*}"
  own root:root 0644 "${key%/*}"/*.crt
  own "root:$concord" 0640 "$key"
done

# A node's data: read by its executor, written by root alone.
if [ -e "$lib/data" ]; then
  chown -hR "root:$app" "$lib/data"
  chmod -R u=rwX,g=rX,o= "$lib/data"
fi

# Run folders: written by the executor, read by `concord submit`. Files in them take over the group of the folder.
if [ -e "$etc/server.key" ]; then
  if [ -e "$lib/runs" ] && [ "$(stat -c %U:%G "$lib/runs")" != "$app:$concord" ]; then
    chown -hR "$app:$concord" "$lib/runs"
    find "$lib/runs" -type d -exec chmod 2750 {} +
    find "$lib/runs" -type f -exec chmod 0640 {} +
  fi
  install -d -m 2750 -o "$app" -g "$concord" "$lib/runs"
fi
