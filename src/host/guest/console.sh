# Prints the logs "$files" in "$directory" from their beginning and follows them, also those that do not exist yet, as
# one `tail` with headers. Ends with the process $2, which lives as long as the connection.
# shellcheck shell=sh disable=SC2154 # set by the caller
cd "$directory" || exit
set -- "$2"
# `tail` omits the header of its last file if that does not exist yet, so the last file is /dev/null.
# shellcheck disable=SC2086 # a list of names
set -- ${1:+--pid=$1} -v -n +1 -F -s 0.3 $files /dev/null
[ -z "$(tail ---disable-inotify -n 0 /dev/null 2>&1)" ] && set -- ---disable-inotify "$@"
exec tail "$@" 2>/dev/null </dev/null
