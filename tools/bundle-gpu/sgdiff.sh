#!/bin/sh
# Runs sgdiff with the Node and the packages that lie beside this file.
here=$(dirname -- "$(readlink -f -- "$0")")
exec "$here/node" "$here/lib/main.js" "$@"
