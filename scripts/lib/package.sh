# shellcheck shell=bash
# The parts of the Debian package, for scripts/package and scripts/package-test. All run in the source tree.

package_version() { sed -n '/^version *=/ { s/.*"\(.*\)".*/\1/p; q }' Cargo.toml; }

# Builds in a directory of its own: without the paths of this machine in the program, which is then the same wherever it
# is built.
build_with_cargo() { # build|install [OPTION...]
  local verb=$1 flags
  shift
  flags="--remap-path-prefix=$PWD=/vcluster"$'\x1f'"--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
  case $verb in build) set -- --release "$@" ;; esac
  CARGO_ENCODED_RUSTFLAGS=$flags cargo "$verb" --locked --target-dir target/package/build "$@"
}

# What the program prints must not depend on the settings of who builds the package.
output_of() { # PROGRAM ARGUMENT...
  (
    unset "${!VCLUSTER_@}"
    exec "$@"
  ) </dev/null
}

put_program() { # PROGRAM ROOT
  install -D -m 0755 "$1" "$2/usr/bin/vcluster"
  strip --strip-unneeded --remove-section=.comment --remove-section=.note "$2/usr/bin/vcluster"
}

put_shell_files() { # PROGRAM ROOT
  local share=$2/usr/share shell path
  output_of "$1" man --dir "$share/man/man1"
  chmod 0644 "$share"/man/man1/*
  gzip -9n "$share"/man/man1/*
  for shell in bash:bash-completion/completions/vcluster zsh:zsh/vendor-completions/_vcluster \
    fish:fish/vendor_completions.d/vcluster.fish; do
    path=$share/${shell#*:}
    mkdir -p "${path%/*}"
    output_of "$1" completions "${shell%%:*}" >"$path"
  done
}

put_files() { # DIRECTORY PREFIX FILE...: each file under its path without the prefix
  local directory=$1 prefix=$2 file mode
  shift 2
  for file; do
    mode=0644
    [ ! -x "$file" ] || mode=0755
    install -D -m "$mode" "$file" "$directory/${file#"$prefix"}"
  done
}

# Links between the pages stay valid: they name `docs` and `topologies`, while Debian wants `examples`.
put_data() { # ROOT
  local share=$1/usr/share files
  mapfile -t files < <(git ls-files images/*/)
  put_files "$share/vcluster" "" "${files[@]}"
  mapfile -t files < <(git ls-files README.md docs)
  put_files "$share/doc/vcluster" "" "${files[@]}"
  mapfile -t files < <(git ls-files topologies)
  put_files "$share/doc/vcluster/examples" topologies/ "${files[@]}"
  ln -s examples "$share/doc/vcluster/topologies"
}

put_copyright() { # ROOT
  local doc=$1/usr/share/doc/vcluster
  {
    cat <<'END'
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: vcluster
Comment: The program contains the crates of crates.txt, which have licenses of their own.

Files: *
END
    sed -n 's/^Copyright (c) /Copyright: /p' LICENSE
    printf 'License: Expat\n\nLicense: Expat\n'
    sed '1,/^Copyright/d' LICENSE | sed '1{/^$/d}; s/^$/./; s/^/ /'
  } >"$doc/copyright"
  cargo tree --locked --edges normal --prefix none --format '{p} {l}' |
    sed 's/ (\*)$//; s/ (proc-macro)//' | grep -v '^vcluster ' | sort -u >"$doc/crates.txt"
}

maintainer() { printf '%s <%s>' "${DEBFULLNAME:-the vcluster developers}" "${DEBEMAIL:-vcluster@example.org}"; }

put_changelog() { # ROOT VERSION
  local file=$1/usr/share/doc/vcluster/changelog
  cat >"$file" <<END
vcluster ($2) unstable; urgency=medium

  * Built from commit $(git rev-parse --short=12 HEAD).

 -- $(maintainer)  $(date -R -d "@$SOURCE_DATE_EPOCH")
END
  gzip -9n "$file"
}

# The packages of the libraries that the program is linked to.
library_packages() { # PROGRAM WORK
  mkdir -p "$2/shlibs/debian"
  printf 'Source: vcluster\n\nPackage: vcluster\nArchitecture: any\n' >"$2/shlibs/debian/control"
  (cd "$2/shlibs" && dpkg-shlibdeps -O "$1") | sed -n 's/^shlibs:Depends=//p'
}

# The packages that the recipes ask for where a tool is missing, without those that every Debian has.
recipe_packages() {
  sed -n 's/.*(apt-get install \([^)]*\)).*/\1/p' images/*/build | tr ' ' '\n' |
    grep -vxE 'apt|coreutils|dpkg|mawk|tar' | sort -u | paste -sd, | sed 's/,/, /g'
}

put_control() { # ROOT VERSION ARCHITECTURE WORK
  local size libraries recipes
  libraries=$(library_packages "$1/usr/bin/vcluster" "$4")
  recipes=$(recipe_packages)
  [ -n "$libraries" ] || die "the packages of the libraries that vcluster uses were not found"
  [ -n "$recipes" ] || die "the recipes of images name no packages"
  size=$(find "$1" -type f -printf '%s\n' | awk '{ n += int(($1 + 1023) / 1024) } END { print n }')
  mkdir "$1/DEBIAN"
  (cd "$1" && find usr -type f | sort | xargs -d '\n' md5sum) >"$1/DEBIAN/md5sums"
  cat >"$1/DEBIAN/control" <<END
Package: vcluster
Version: $2
Architecture: $3
Maintainer: $(maintainer)
Installed-Size: $size
Depends: $libraries, openssh-client
Recommends: $recipes
Suggests: libvirt-daemon-system, qemu-system-x86
Section: admin
Priority: optional
Description: clusters of hundreds of real virtual machines for scale tests
 vcluster turns a handful of bare-metal Linux hosts into a cluster of 150 or
 more real virtual machines, configures every node over SSH, runs a workload on
 all of them at once, and removes the cluster again without a trace.
 .
 This package is for the controller. The hosts need libvirt, QEMU and an SSH
 server, and nothing of vcluster. The recommended packages are needed to build
 the built-in images.
END
}
