# shellcheck shell=bash
# The controller of a lab has no network access, so images, which need Debian packages, are built
# outside of the lab; `vcluster up` then finds them in its cache.

build_images() { # VCLUSTER TOPOLOGY NAME...
  local vcluster=$1 topology=$2 name
  shift 2
  for name; do "$vcluster" image build "$name" --topology "$topology" || return; done
}

# Built-in images, which need no topology.
build_built_in_images() { # VCLUSTER NAME...
  local vcluster=$1
  shift
  "$vcluster" image build "$@"
}
