//! Compiles the supervisor of steps (`guest/`) for the nodes; `src/supervise/guest.rs` puts it into the binary.
//!
//! It is a program without a C library, so that it runs on every Linux node of the same architecture. Where it
//! cannot be made (another architecture than x86-64), the file stays empty and steps run without a supervisor.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=guest/src");
    println!("cargo:rerun-if-changed=build.rs");
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let directory = variable("OUT_DIR");
    let output = Path::new(&directory).join("vcluster-guest");
    if variable("CARGO_CFG_TARGET_ARCH") != "x86_64" {
        std::fs::write(&output, []).expect("the build directory must be writable");
        println!("cargo:warning=no supervisor of steps for this architecture");
        return;
    }
    let status = Command::new(variable("RUSTC"))
        .args([
            "guest/src/main.rs",
            "--edition=2024",
            "--crate-name=vcluster_guest",
            "--crate-type=bin",
        ])
        .args(["--target", &variable("TARGET")])
        .args([
            "-Cpanic=abort",
            "-Copt-level=s",
            "-Ccodegen-units=1",
            "-Cstrip=symbols",
        ])
        // Fixed addresses, no C library, no note of the build: the same bytes from the same source.
        .args([
            "-Crelocation-model=static",
            "-Clink-arg=-nostartfiles",
            "-Clink-arg=-nostdlib",
        ])
        .args([
            "-Clink-arg=-static",
            "-Clink-arg=-Wl,--build-id=none,-z,noexecstack,-z,max-page-size=4096",
        ])
        .arg("--remap-path-prefix=guest/src=guest")
        .arg("-o")
        .arg(&output)
        .status();
    match status {
        Ok(status) if status.success() => {}
        other => panic!("failed to compile the supervisor of steps in guest/: {other:?}"),
    }
}
