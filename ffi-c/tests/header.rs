//! The committed header is what cbindgen makes of the sources, is clean C11 and C++17, and its numbers are
//! those of the table of errors.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use triveni::ErrorKind;

const HERE: &str = env!("CARGO_MANIFEST_DIR");

fn include() -> PathBuf {
    Path::new(HERE).join("../include")
}

/// Compiles a text that includes the header; panics with the compiler's words if it finds anything to say.
fn compile(compiler: &str, language: &str, standard: &str, text: &str) {
    let mut child = Command::new(compiler)
        .args(["-x", language, standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-I"])
        .arg(include())
        .arg("-")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{compiler}: {e}"));
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{compiler} {standard}:\n{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_committed_header_is_what_cbindgen_makes() {
    let file = include().join("triveni.h");
    let mut made = Vec::new();
    cbindgen::generate(HERE).expect("cbindgen").write(&mut made);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(include()).unwrap();
        std::fs::write(&file, &made).unwrap();
    }
    let committed = std::fs::read(&file).unwrap_or_default();
    assert!(made == committed, "stale header: UPDATE=1 cargo test -p triveni-ffi-c --test header");
}

#[test]
fn the_header_is_clean_in_c11_and_in_cpp17() {
    let text = "#include <triveni.h>\n#include <triveni.h>\n\
                static const tvn_segment_options_t options = TVN_SEGMENT_OPTIONS;\n\
                int main(void) { return options.size == sizeof options ? TVN_TRY : 1; }\n";
    compile("gcc", "c", "-std=c11", text);
    compile("g++", "c++", "-std=c++17", text);
}

#[test]
fn every_number_of_the_table_has_its_name_in_c() {
    let mut text = String::from("#include <triveni.h>\n");
    for row in ErrorKind::TABLE {
        writeln!(text, "_Static_assert({} == {}, \"\");", row.c_name, row.errno).unwrap();
    }
    compile("gcc", "c", "-std=c11", &text);
}

#[test]
fn every_function_of_the_header_says_what_it_returns_and_every_source_function_is_in_it() {
    let header = std::fs::read_to_string(include().join("triveni.h")).unwrap();
    let lines: Vec<&str> = header.lines().collect();
    let mut functions = 0;
    let sources =
        |folder: &str| std::fs::read_dir(Path::new(HERE).join(folder)).unwrap().map(|file| file.unwrap().path());
    let folders = ["src", "src/kernel", "src/kernel/socket"];
    for file in folders.into_iter().flat_map(sources).filter(|path| path.is_file()) {
        let source = std::fs::read_to_string(file).unwrap();
        for (at, _) in source.match_indices("extern \"C\" fn tvn_") {
            let name: String = source[at + 14..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let code = |line: &&str| !line.starts_with([' ', '#']); // no comment, no macro
            let at = lines.iter().position(|line| code(line) && line.contains(&format!("{name}(")));
            let at = at.unwrap_or_else(|| panic!("{name} is not in the header"));
            assert_eq!(lines[at - 1], " */", "{name} has no comment");
            let comment: Vec<_> = lines[..at].iter().rev().take_while(|line| **line != "/**").collect();
            let says = comment.iter().any(|line| line.contains("@return"));
            assert!(says || lines[at].starts_with("void "), "{name} does not say what it returns");
            functions += 1;
        }
    }
    assert!(functions > 50, "found only {functions} functions");
}
