# Removes "$d" if it holds nothing but a claim. Uses directory.sh.
# shellcheck shell=sh disable=SC2154 # set by the caller
ours || exit 0
# shellcheck disable=SC2010 # any other name counts
if ls -A "$d" | grep -qvxE 'owner[.]json|claim[.]json|claim[.]json[.]new|lock|nodes|nodes[.]new'; then exit 0; fi
remove_directory
