# shellcheck shell=bash
# The controller of a lab has no way to the outside, so images, which are made of Debian packages,
# are built before a lab is entered; `vcluster up` then finds them in its cache.

build_images() { # VCLUSTER TOPOLOGY NAME...
  local vcluster=$1 topology=$2 name
  shift 2
  for name; do "$vcluster" image build "$name" --topology "$topology" || return; done
}

# Images that every vcluster knows, without a topology.
build_built_in_images() { # VCLUSTER NAME...
  local vcluster=$1
  shift
  "$vcluster" image build "$@"
}
