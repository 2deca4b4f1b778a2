//! Where the demo's programs come from: Rust is this very command, C is compiled here and now against the
//! library beside it, Python runs wherever `import triveni` works. Their sources travel inside the command.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs, io};

const C_SOURCE: &str = include_str!("../../../examples/temperature/temperature.c");
const PYTHON_SOURCE: &str = include_str!("../../../examples/temperature/temperature.py");

/// A language a sensor can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Language {
    Rust,
    C,
    Python,
}

impl Language {
    pub const ALL: [Language; 3] = [Language::Rust, Language::C, Language::Python];

    pub fn name(self) -> &'static str {
        match self {
            Language::Rust => "Rust",
            Language::C => "C",
            Language::Python => "Python",
        }
    }
}

/// How to start `temperature` in one language: a program and its first arguments.
pub struct Program {
    pub language: Language,
    words: Vec<OsString>,
}

impl Program {
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]);
        command
    }
}

/// A folder of our own, gone when dropped.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> io::Result<Folder> {
        let template = env::temp_dir().join("triveni-demo-XXXXXX").into_os_string().into_vec();
        let template = CString::new(template)?;
        let raw = template.into_raw();
        // SAFETY: `raw` is a writable, NUL-terminated string that ends in XXXXXX; mkdtemp changes those six only.
        let made = unsafe { libc::mkdtemp(raw) };
        let error = io::Error::last_os_error();
        // SAFETY: `raw` came from `into_raw` above, and its length is unchanged.
        let path = unsafe { CString::from_raw(raw) };
        if made.is_null() {
            return Err(error);
        }
        Ok(Folder(PathBuf::from(OsString::from_vec(path.into_bytes()))))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // in /tmp: what cannot be removed now, the next boot removes
    }
}

/// The programs there are, and a sentence for each language that is missing.
pub fn find(folder: &Folder) -> (Vec<Program>, Vec<String>) {
    let mut programs = Vec::new();
    let mut missing = Vec::new();
    for language in Language::ALL {
        let words = match language {
            Language::Rust => rust(),
            Language::C => c(folder),
            Language::Python => python_script(folder),
        };
        match words {
            Ok(words) => programs.push(Program { language, words }),
            Err(reason) => missing.push(format!("{} is left out: {reason}.", language.name())),
        }
    }
    (programs, missing)
}

/// This command again. In the Python package the running program is the interpreter, and the command a module.
fn rust() -> Result<Vec<OsString>, String> {
    let mut words = match interpreter() {
        Some(python) => vec![python.into_os_string(), "-m".into(), "triveni".into()],
        None => {
            let me = env::current_exe().map_err(|error| format!("this program cannot find itself: {error}"))?;
            vec![me.into_os_string()]
        }
    };
    words.push("temperature".into());
    Ok(words)
}

/// The Python interpreter this command runs in, if it does, by the name it was started with: a virtual
/// environment is known by that name only.
fn interpreter() -> Option<PathBuf> {
    let me = env::current_exe().ok()?;
    if !me.file_name()?.as_bytes().starts_with(b"python") {
        return None;
    }
    let name = env::args_os().next()?;
    if name.as_bytes().contains(&b'/') {
        return Some(name.into());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    Some(env::split_paths(&path).map(|folder| folder.join(&name)).find(|file| file.is_file()).unwrap_or(me))
}

/// Compiles the embedded source against the kit.
fn c(folder: &Folder) -> Result<Vec<OsString>, String> {
    let (include, library) = kit()?;
    let source = folder.0.join("temperature.c");
    let program = folder.0.join("temperature");
    let write = || -> io::Result<()> {
        fs::write(&source, C_SOURCE)?;
        // The program looks for the library's soname; in a build tree the file has its plain name only.
        for name in ["libtriveni.so", "libtriveni.so.0"] {
            std::os::unix::fs::symlink(&library, folder.0.join(name))?;
        }
        Ok(())
    };
    write().map_err(|error| format!("{}: {error}", folder.0.display()))?;
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut rpath = OsString::from("-Wl,-rpath,");
    rpath.push(&folder.0);
    let compiled = Command::new(&compiler)
        .args(["-std=c11", "-O2", "-o"])
        .args([&program, &source])
        .arg("-I")
        .arg(&include)
        .arg("-L")
        .arg(&folder.0)
        .arg(rpath)
        .args(["-ltriveni", "-lm"])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("the compiler {compiler:?} does not start ({error}); install gcc, or set CC"))?;
    if !compiled.status.success() {
        let said = String::from_utf8_lossy(&compiled.stderr);
        return Err(format!("{compiler:?} could not compile temperature.c: {}", said.trim()));
    }
    Ok(vec![program.into_os_string()])
}

/// The folder of triveni.h, and the library file.
fn kit() -> Result<(PathBuf, PathBuf), String> {
    let mut places = Vec::new();
    if let Some(kit) = env::var_os("TRIVENI_KIT") {
        let kit = PathBuf::from(kit);
        places.push((kit.join("include"), kit.join("lib")));
    }
    let me = env::current_exe().and_then(fs::canonicalize).unwrap_or_default();
    if let [_, Some(bin), Some(prefix), tree] = [0, 1, 2, 3].map(|n| me.ancestors().nth(n)) {
        places.push((prefix.join("include"), prefix.join("lib"))); // PREFIX/bin, PREFIX/include, PREFIX/lib
        places.extend(tree.map(|tree| (tree.join("include"), bin.to_path_buf()))); // target/release, include
    }
    let packages = pythons().into_iter().filter_map(|python| package(&python)).map(|package| package.join("kit"));
    let kits = packages.map(|kit| (kit.join("include"), kit.join("lib"))); // the Python package brings one
    let mut found = places.into_iter().chain(kits).map(|(include, lib)| (include, lib.join("libtriveni.so")));
    found.find(|(include, library)| include.join("triveni.h").is_file() && library.is_file()).ok_or_else(|| {
        format!(
            "triveni.h and libtriveni.so are not beside {}; run `make build`, or set TRIVENI_KIT to the folder \
             that holds include/ and lib/",
            me.display()
        )
    })
}

/// Interpreters worth asking, the nearest first.
fn pythons() -> Vec<PathBuf> {
    let mut pythons: Vec<PathBuf> = env::var_os("TRIVENI_PYTHON").map(PathBuf::from).into_iter().collect();
    pythons.extend(interpreter());
    if let Ok(me) = env::current_exe() {
        let tree = me.ancestors().nth(3).map(|tree| tree.join(".venv/bin/python"));
        pythons.extend(tree.filter(|python| python.is_file())); // target/release/triveni, .venv
    }
    let here = PathBuf::from(".venv/bin/python");
    if let Ok(here) = std::path::absolute(here)
        && here.is_file()
    {
        pythons.push(here);
    }
    pythons.push("python3".into());
    pythons
}

/// Where this interpreter has the package `triveni`, if it has.
fn package(python: &Path) -> Option<PathBuf> {
    let asked = Command::new(python)
        .args(["-c", "import os, triveni; triveni.Segment; print(os.path.dirname(triveni.__file__))"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let answer = String::from_utf8(asked.stdout).ok()?;
    asked.status.success().then(|| PathBuf::from(answer.trim_end()))
}

fn python_script(folder: &Folder) -> Result<Vec<OsString>, String> {
    let python = pythons().into_iter().find(|python| package(python).is_some()).ok_or(
        "no Python here can import triveni; run `make build`, or set TRIVENI_PYTHON to an interpreter that can",
    )?;
    let script = folder.0.join("temperature.py");
    fs::write(&script, PYTHON_SOURCE).map_err(|error| format!("{}: {error}", script.display()))?;
    Ok(vec![python.into_os_string(), "-u".into(), script.into_os_string()])
}
