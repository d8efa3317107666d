# Overwrites the claim in "$d" with "$claim"; fails if there is none. Uses directory.sh.
# shellcheck shell=sh disable=SC2154 # set by the caller
if ! ours || [ ! -f "$d/claim.json" ] || [ -L "$d/claim.json" ]; then echo "there is no claim" >&2; exit 1; fi
set -e
printf '%s\n' "$claim" >"$d/claim.json.new"
mv "$d/claim.json.new" "$d/claim.json"
