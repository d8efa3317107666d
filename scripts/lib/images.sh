# shellcheck shell=bash
# The controller of a lab has no network access, so images, which need Debian packages, are built
# outside of the lab; `vcluster up` then finds them in its cache.

build_images() { # VCLUSTER TOPOLOGY NAME...
  local vcluster=$1 topology=$2 name
  shift 2
  for name; do "$vcluster" image build "$name" --topology "$topology" || return; done
}

# Debian images as others make them, for the tests. One that is there is not built again.
build_stock_images() { # DIRECTORY
  local firmware
  for firmware in bios uefi; do
    [ "$1/$firmware.qcow2" -nt images/debian-stock/build ] ||
      images/debian-stock/build "$1/$firmware.qcow2" $firmware || return
  done
}

# Built-in images, which need no topology.
build_built_in_images() { # VCLUSTER NAME...
  local vcluster=$1
  shift
  "$vcluster" image build "$@"
}
