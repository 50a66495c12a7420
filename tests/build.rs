//! Leaves the tests on PostgreSQL out when `SKIP_POSTGRES=1` says so.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SKIP_POSTGRES");
    println!("cargo::rustc-check-cfg=cfg(skip_postgres)");
    if std::env::var("SKIP_POSTGRES").is_ok_and(|value| value == "1") {
        println!("cargo::rustc-cfg=skip_postgres");
    }
}
