//! The program; see the library's front page for how it works.

fn main() -> std::process::ExitCode {
    tracer::cli::main()
}
