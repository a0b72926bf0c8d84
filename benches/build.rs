//! Tells the binary what it was built with: the compiler's version and the target, which belong to every record of
//! figures. Cargo runs it. Invariant: it reads the environment that cargo gives, and nothing else.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let version =
        Command::new(rustc).arg("-V").output().ok().and_then(|out| String::from_utf8(out.stdout).ok());
    println!("cargo::rustc-env=BUCKETMASK_RUSTC={}", version.as_deref().unwrap_or("unknown").trim());
    let target = std::env::var("TARGET").unwrap_or_default();
    println!("cargo::rustc-env=BUCKETMASK_TARGET={target}");
}
