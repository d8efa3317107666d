//! The `vcluster` binary; everything is in the library.

fn main() -> std::process::ExitCode {
    vcluster::cli::main()
}
