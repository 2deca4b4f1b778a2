//! The command `triveni`: one file per subcommand, arguments and printing only; what is printed comes from
//! the crate `triveni`.
//!
//! [`run`] is all of it, so that the Python package can offer the same command.

mod bench;
mod deadlock;
mod demo;
mod kernel_objects;
mod ls;
mod rm;
#[path = "../../examples/temperature/temperature.rs"]
mod temperature;
mod watch;

use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::io;

/// See and run what processes share.
#[derive(Parser)]
#[command(name = "triveni", version, after_help = "Exit codes: 0 done, 1 error, 2 wrong usage.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Bench(bench::Bench),
    Deadlock(deadlock::Deadlock),
    Ls(ls::Ls),
    Rm(rm::Rm),
    Watch(watch::Watch),
    Demo(demo::Demo),
    /// A sensor or the monitor of the demo.
    #[command(hide = true)]
    Temperature {
        args: Vec<String>,
    },
}

/// Why a subcommand failed.
#[derive(Debug)]
enum Failure {
    /// One sentence for stderr.
    Said(String),
    /// One sentence for stderr: the input is wrong, exit code 2.
    Input(String),
    /// Nobody reads our output any more: no reason to complain.
    BrokenPipe,
    /// All has been said; only the exit code is left.
    Known,
}

impl From<triveni::Error> for Failure {
    fn from(error: triveni::Error) -> Failure {
        Failure::Said(error.to_string())
    }
}

impl From<String> for Failure {
    fn from(sentence: String) -> Failure {
        Failure::Said(sentence)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::BrokenPipe,
            _ => Failure::Said(error.to_string()),
        }
    }
}

/// Runs the command with `args`, the program's own name first; returns its exit code:
/// 0 done, 1 error, 2 wrong usage.
pub fn run(args: Vec<OsString>) -> i32 {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(answer) => {
            let _ = answer.print(); // help and version to stdout, the rest to stderr; there is nobody else to tell
            return answer.exit_code();
        }
    };
    let done = match cli.command {
        Command::Bench(bench) => bench.run(),
        Command::Deadlock(deadlock) => deadlock.run(),
        Command::Ls(ls) => ls.run(),
        Command::Rm(rm) => rm.run(),
        Command::Watch(watch) => watch.run(),
        Command::Demo(demo) => demo.run(),
        Command::Temperature { args } => {
            temperature::run(&args.iter().map(String::as_str).collect::<Vec<_>>()).map_err(Failure::from)
        }
    };
    match done {
        Ok(()) | Err(Failure::BrokenPipe) => 0,
        Err(Failure::Known) => 1,
        Err(Failure::Input(sentence)) => {
            eprintln!("triveni: {sentence}");
            2
        }
        Err(Failure::Said(sentence)) => {
            eprintln!("triveni: {sentence}");
            1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(args: &[&str]) -> i32 {
        run(std::iter::once("triveni").chain(args.iter().copied()).map(OsString::from).collect())
    }

    #[test]
    fn arguments_are_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn wrong_usage_is_2_and_help_is_0() {
        assert_eq!(code(&["--help"]), 0);
        assert_eq!(code(&[]), 2);
        assert_eq!(code(&["nonsense"]), 2);
        assert_eq!(code(&["rm"]), 2);
        assert_eq!(code(&["watch"]), 2);
        assert_eq!(code(&["watch", "--for", "-1", "lab"]), 2);
        assert_eq!(code(&["demo", "--sensors", "0"]), 2);
        assert_eq!(code(&["demo", "--monitor", "cobol"]), 2);
    }

    #[test]
    fn what_is_not_there_is_1() {
        assert_eq!(code(&["ls", "no-such-segment"]), 1);
        assert_eq!(code(&["rm", "no-such-segment"]), 1);
        assert_eq!(code(&["watch", "no-such-segment"]), 1);
        assert_eq!(code(&["rm", "no-such-segment/object"]), 1);
    }
}
