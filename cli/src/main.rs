//! The command `triveni`.

fn main() {
    std::process::exit(triveni_cli::run(std::env::args_os().collect()))
}
