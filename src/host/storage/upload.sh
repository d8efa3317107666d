# Writes the gzip stream on its input to "$temporary" in "$images", and renames it to "$name" if its digest is "$sha256".
# Otherwise, and if it is interrupted, nothing is left.
# shellcheck shell=sh disable=SC2154 # set by the caller
cd "$images" || exit
command -v flock >/dev/null || { echo "vcluster-missing: flock" >&2; exit 9; }
# The lock shows other commands, which remove leftovers, that this upload is running.
if ! { exec 9>"$temporary" && flock -n 9 && [ -e "$temporary" ]; }; then echo "$temporary went away" >&2; exit 1; fi
trap 'rm -f "$temporary"' EXIT
trap 'exit 1' HUP INT TERM PIPE
# On disk before it gets the name of a complete file.
gzip -dc | dd of="$temporary" bs=128k iflag=fullblock conv=sparse,fsync status=none || exit
s=$(sha256sum "$temporary") && [ "${s%% *}" = "$sha256" ] && chmod 0444 "$temporary" && mv -f "$temporary" "$name" && exit
echo "the digest of what arrived is ${s%% *} and not $sha256" >&2; exit 1
