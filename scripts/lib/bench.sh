# shellcheck shell=bash
# Shared by the benchmarks: a separate lab and state directory, created at the start and always removed
# at the end; topologies of bench.d; measured commands and tables of them.

MEASURE=$SCRIPTS/lib/measure.py
VCLUSTER=${VCLUSTER:-$SCRIPTS/../target/release/vcluster}
# A small machine has no room for the guests of two clusters: a bench never shares a lab.
export VCLUSTER_LAB=${BENCH_LAB:-bench}
# The cluster of every topology in bench.d.
export VCLUSTER_NAME=bench
LAB_STARTED=0 CLUSTER_UP=0

# The binary and a directory for measurements, which are enough for a bench without hosts.
bench_workspace() {
  need_command python3
  if [ ! -x "$VCLUSTER" ]; then
    need_rust "$SCRIPTS/../Cargo.toml"
    say "==> build vcluster"
    (cd "$SCRIPTS/.." && cargo build --release --locked)
  fi
  VCLUSTER=$(readlink -f "$VCLUSTER")
  WORK=$(mktemp -d)
  export XDG_STATE_HOME=$WORK/state
  trap bench_end EXIT
  trap 'exit 130' INT TERM
}

bench_begin() { # HOSTS
  need_root "this"
  need_command jq ssh virsh
  if "$SCRIPTS/lab" status >/dev/null 2>&1; then
    die "lab $VCLUSTER_LAB is up: is another bench running? (VCLUSTER_LAB=$VCLUSTER_LAB scripts/lab down)"
  fi
  bench_workspace
  LAB_STARTED=1
  say "==> start $1 simulated bare-metal hosts"
  "$SCRIPTS/lab" up "$1"
}

bench_end() {
  local code=$?
  # Another Ctrl-C ends the running command, not the clean-up.
  trap : INT TERM
  if [ $CLUSTER_UP = 1 ]; then cluster_down last >/dev/null || :; fi
  if [ $LAB_STARTED = 1 ] && ! "$SCRIPTS/lab" down; then
    say "error: lab $VCLUSTER_LAB is not removed (VCLUSTER_LAB=$VCLUSTER_LAB scripts/lab down)"
    [ $code != 0 ] || code=1
  fi
  if [ $code = 0 ]; then
    rm -rf "$WORK"
  else
    say "measurements and output are in $WORK"
  fi
  exit $code
}

# A number from 1 to 99999, from the environment.
how_many() { # VARIABLE DEFAULT
  local number=${!1:-$2}
  [[ $number =~ ^[1-9][0-9]{0,4}$ ]] || die "$1=$number: it must be a number from 1 to 99999"
  echo "$number"
}

# Ten nodes fit on a host of the topologies.
hosts_for() { echo $((($1 + 9) / 10)); } # NODES

# Writes a topology of bench.d for this many hosts and nodes to $WORK/NAME.yaml. Further arguments are options of sed.
topology() { # NAME HOSTS NODES [SED...]
  local hosts
  printf -v hosts 'bm[01-%02d]' "$2"
  # Names of up to 99 hosts have two digits.
  [ "$2" -le 99 ] || hosts="bm[01-99],bm[100-$2]"
  sed -E -e "s/\"bm\[.*\]\"/\"$hosts\"/" -e "s/(node: \{ count:) [0-9]+/\1 $3/" -e "s/count == [0-9]+/count == $3/" \
    "${@:4}" "$SCRIPTS/bench.d/$1.yaml" >"$WORK/$1.yaml"
}

in_lab() { "$SCRIPTS/lab" run "$@"; }
vcluster() { in_lab "$VCLUSTER" "$@"; }

# Runs a command in the lab; its cost goes to $WORK/NAME.json, its stdout to $WORK/NAME.out.
measured() { # NAME CMD...
  in_lab "$MEASURE" run "$WORK/$1.json" --stdout "$WORK/$1.out" -- "${@:2}"
}

# The same, with the cost of the lab's processes meanwhile.
measured_with_lab() { # NAME CMD...
  in_lab "$MEASURE" run "$WORK/$1.json" --lab --stdout "$WORK/$1.out" -- "${@:2}"
}

cluster_up() { # NAME TOPOLOGY [OPTION...]
  CLUSTER_UP=1
  measured_with_lab "$1" "$VCLUSTER" up "${@:2}" --format json || {
    local code=$?
    tail -n 3 "$WORK/$1.out" >&2
    return $code
  }
}

cluster_down() { # NAME
  measured_with_lab "$1" "$VCLUSTER" down "$VCLUSTER_NAME" -y --format json || return
  CLUSTER_UP=0
}

cells() { "$MEASURE" cells "$WORK" "$@"; } # NAME EXPRESSION...: see measure.py
row() { # TITLE NAME EXPRESSION...
  printf '%s\t' "$1"
  cells "${@:2}"
}
table() { "$MEASURE" table; }

# What vcluster itself has used for commands that `measured` ran.
verbs_table() { # NODES NAME...
  local verb
  {
    printf 'vcluster itself\twall s\tCPU s\tCPU ms/node\tpeak MiB\n'
    for verb in "${@:2}"; do row "$verb" "$verb" wall:1 cpu "cpu * 1000 / $1:1" 'peak_rss_kib / 1024:0'; done
  } | table
}

# The times of the stages of an `up`.
stages_table() { # NAME
  {
    printf 'stage\tdone\tfailed\tp50 s\tp95 s\tmax s\n'
    jq -er 'select(.type == "summary").stages[] | [.stage, "\(.done)/\(.total)", .failed, .p50, .p95, .max] | @tsv' \
      "$WORK/$1.out"
  } | table
}

# The words, rotated each round: noise affects all of them equally, and each is first equally often.
rotate() { # COUNT WORD...
  local count=$(($1 % ($# - 1)))
  shift
  printf '%s\n' "${@:count+1}" "${@:1:count}"
}
