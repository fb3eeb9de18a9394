//! Compiles the allocator's settings into the binary: glibc reads its own from the environment alone, and a safe call to
//! set them there is not. Elsewhere than on glibc there is nothing to set.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=allocator.c");
    let target = |of: &str| std::env::var(format!("CARGO_CFG_TARGET_{of}")).unwrap_or_default();
    if target("OS") == "linux" && target("ENV") == "gnu" {
        for object in cc::Build::new().file("allocator.c").compile_intermediates() {
            println!("cargo:rustc-link-arg-bin=presswork={}", object.display());
        }
    }
}
