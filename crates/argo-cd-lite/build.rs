//! Linker settings of the binary.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |what: &str| std::env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    if target("OS") == "linux" && target("ENV") == "gnu" {
        // The relocations of a position-independent program of this size are a table of 1.4 MiB that is read
        // at start and then stays resident; packed it is a few KiB. glibc reads that form since 2.36.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
