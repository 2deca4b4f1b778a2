//! A shell's line in code: `sort <<words | uniq -c | sort -rn >FILE`, and what happens to a writer whose reader has gone.
//!
//!     pipeline

use std::os::unix::process::ExitStatusExt;
use triveni::Result;
use triveni::kernel::{Pipeline, Redirect, signal_name};

fn main() -> Result<()> {
    let words = "pipe\nqueue\npipe\nsignal\npipe\nqueue\n";
    let file = std::env::temp_dir().join(format!("pipeline-{}", std::process::id()));
    let count = Pipeline::new().then(["sort"]).then(["uniq", "-c"]).then(["sort", "-rn"]);
    let run = count.input(words).output_to(Redirect::Write(file.clone())).run()?;
    let ours = std::fs::read(&file).unwrap_or_default();
    let _ = std::fs::remove_file(&file); // it was only for this
    print!("{}", String::from_utf8_lossy(&ours));
    let shell = Pipeline::new().then(["sh", "-c", "sort | uniq -c | sort -rn"]).input(words).run()?;
    let same = if run.success() && ours == shell.output { "yes" } else { "no" };
    println!("the same bytes as from the shell: {same}");
    let run = Pipeline::new().then(["yes"]).then(["head", "-n", "1"]).run()?;
    let signal = run.statuses[0].signal().unwrap_or(0);
    println!("yes | head -n 1: yes was ended by {}, pipefail says {}", signal_name(signal), run.pipefail());
    Ok(())
}
