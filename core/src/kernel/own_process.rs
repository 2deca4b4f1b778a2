//! For tests of what is gone once it is closed.
//!
//! The tests of this crate run in threads of one process, and some of them fork. A child has copies of all descriptors
//! and attached memory of all tests until it ends or calls exec; its state is in everybody's process table. So nothing
//! that a test closes here is gone at once, and a child that it sees may be another's.

/// Runs `test` in a process with no other test in it. It is all that the calling test does.
pub fn in_its_own_process<F: FnOnce()>(test: F) {
    const MARK: &str = "TRIVENI_TEST_ALONE";
    if std::env::var_os(MARK).is_some() {
        return test();
    }
    // A closure's type is named after the function that it is written in: `triveni::MODULES::FUNCTION::{{closure}}`.
    let (_, path) = std::any::type_name::<F>().split_once("::").unwrap();
    let name = path.trim_end_matches("::{{closure}}");
    let mut program = std::process::Command::new(std::env::current_exe().unwrap());
    let ended = program.args(["--exact", name, "--nocapture"]).env(MARK, "1").output().unwrap();
    let [said, complained] = [ended.stdout, ended.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(ended.status.success() && said.contains(" 1 passed"), "{name} in its own process: {said}{complained}");
}
