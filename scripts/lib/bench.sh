# shellcheck shell=bash
# Shared by the benchmarks: a separate lab and state directory, created at the start and always removed
# at the end; measured commands; topologies.

MEASURE=$SCRIPTS/lib/measure.py
VCLUSTER=${VCLUSTER:-$SCRIPTS/../target/release/vcluster}
# A small machine has no room for the guests of two clusters: a bench never shares a lab.
export VCLUSTER_LAB=${BENCH_LAB:-bench}
LAB_STARTED=0 CLUSTER_UP=0

bench_begin() { # HOSTS
  need_root "this"
  need_command python3 ssh virsh
  if [ ! -x "$VCLUSTER" ]; then
    need_rust "$SCRIPTS/../Cargo.toml"
    say "==> build vcluster"
    (cd "$SCRIPTS/.." && cargo build --release --locked)
  fi
  VCLUSTER=$(readlink -f "$VCLUSTER")
  if "$SCRIPTS/lab" status >/dev/null 2>&1; then
    die "lab $VCLUSTER_LAB is up: is another bench running? (VCLUSTER_LAB=$VCLUSTER_LAB scripts/lab down)"
  fi
  WORK=$(mktemp -d)
  export XDG_STATE_HOME=$WORK/state
  trap bench_end EXIT
  trap 'exit 130' INT TERM
  LAB_STARTED=1
  say "==> start $1 simulated bare-metal hosts"
  "$SCRIPTS/lab" up "$1"
}

bench_end() {
  local code=$?
  # Another Ctrl-C ends the running command, not the clean-up.
  trap : INT TERM
  if [ $CLUSTER_UP = 1 ]; then cluster_down "$WORK/down.json" >/dev/null || :; fi
  if [ $LAB_STARTED = 1 ]; then "$SCRIPTS/lab" down || :; fi
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

in_lab() { "$SCRIPTS/lab" run "$@"; }
vcluster() { in_lab "$VCLUSTER" "$@"; }

# Runs a command in the lab and writes the cost of its own process; its stdout goes to a file.
measured() { # OUT.json STDOUT CMD...
  local out=$1 stdout=$2
  shift 2
  in_lab "$MEASURE" run "$out" --stdout "$stdout" -- "$@"
}

# Writes the cost of the lab's processes while a command runs to OUT.lab.json, and of its own process to OUT.json.
measured_with_lab() { # OUT (without .json) CMD...
  local out=$1 code=0
  shift
  "$MEASURE" lab "$out.before.json"
  measured "$out.json" "$out.stdout" "$@" || code=$?
  "$MEASURE" lab "$out.after.json"
  "$MEASURE" diff "$out.before.json" "$out.after.json" >"$out.lab.json"
  return $code
}

cluster_up() { # OUT TOPOLOGY [OPTION...]; VCLUSTER_NAME is set by the caller
  local out=$1
  shift
  CLUSTER_UP=1
  measured_with_lab "$out" "$VCLUSTER" up "$@" --format json || {
    local code=$?
    tail -n 3 "$out.stdout" >&2
    return $code
  }
}

cluster_down() { # OUT
  measured_with_lab "${1%.json}" "$VCLUSTER" down "$VCLUSTER_NAME" -y --format json && CLUSTER_UP=0
}

value() { "$MEASURE" get "$1" "$2"; } # FILE.json KEY
calculate() { awk "BEGIN { printf \"%.${2:-2}f\", $1 }"; } # EXPRESSION [DECIMALS]
table() { "$MEASURE" table; }

# The median of one value over several files.
median_of() { # KEY FILE.json...
  local key=$1 file values=()
  shift
  for file; do values+=("$(value "$file" "$key")"); done
  "$MEASURE" median "${values[@]}"
}

# The words, rotated each round: noise affects all of them equally, and each is first equally often.
rotate() { # COUNT WORD...
  local count=$(($1 % ($# - 1)))
  shift
  printf '%s\n' "${@:count+1}" "${@:1:count}"
}

# A topology for the lab's hosts: HOSTS x PER_HOST nodes of an image, without configuration.
write_topology() { # FILE NAME HOSTS PER_HOST IMAGE MEMORY
  local first=bm01 more=""
  # Names of up to 99 hosts have two digits.
  [ "$3" = 1 ] || first=$(printf 'bm[01-%02d]' "$(($3 < 99 ? $3 : 99))")
  [ "$3" -le 99 ] || more="bm[100-$3]"
  cat >"$1" <<TOPOLOGY
name: $2
hosts:
$(for hosts in $first $more; do
    echo "  \"$hosts\": { uri: \"qemu+ssh://root@{{name}}/system\", max_nodes: $4 }"
  done)
network: { subnet: 10.77.0.0/16 }
defaults: { image: $5, vcpus: 1, memory: $6 }
groups:
  node: { count: $(($3 * $4)), place: spread }
TOPOLOGY
}
