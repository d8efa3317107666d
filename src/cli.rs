//! The command line.

/// Runs the program and returns its exit code.
pub fn main() -> std::process::ExitCode {
    crate::exit::ExitCode::Ok.into()
}
