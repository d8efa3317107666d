# shellcheck shell=bash
# Finds and checks the Rust toolchain, but never installs one: Debian 12's own rustc is too old, and
# the toolchain is the user's choice.

need_rust() { # CARGO_TOML
  local wanted found
  command -v cargo >/dev/null || PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
  wanted=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' "$1" 2>/dev/null) || :
  wanted=${wanted:-1.85}
  if ! command -v cargo >/dev/null; then
    say "error: cargo is missing: vcluster is built with Rust $wanted or newer"
    rust_hint
    exit 1
  fi
  found=$(rustc --version | cut -d' ' -f2)
  printf '%s\n%s\n' "$wanted" "$found" | sort -VC && return
  say "error: Rust $found is too old, $wanted or newer is needed"
  rust_hint
  exit 1
}

rust_hint() {
  hint "install rustup from https://rustup.rs (the rustc of Debian 12 is too old), then run this again"
}
