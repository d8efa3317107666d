# shellcheck shell=bash
# Named steps with their durations.

STEP_SUMMARY=""

seconds_since() { # EPOCHREALTIME at the start; prints seconds with one decimal
  local us=$((${EPOCHREALTIME/./} - ${1/./}))
  printf '%d.%d' $((us / 1000000)) $((us % 1000000 / 100000))
}

# Prints the title, runs CMD, records its duration and returns its exit code. A function given as CMD must
# join its commands with `&&`, because bash ignores `set -e` inside `||`.
step() { # TITLE CMD...
  local title=$1 start=$EPOCHREALTIME code=0 took
  shift
  say "==> $title"
  "$@" || code=$?
  took=$(seconds_since "$start")
  if [ $code = 0 ]; then say "    $took s"; else say "    $took s, FAILED with exit code $code"; fi
  STEP_SUMMARY+=$(printf '%8s s  %s%s' "$took" "$title" "$([ $code = 0 ] || echo "  FAILED ($code)")")$'\n'
  return $code
}
