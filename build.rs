//! Builds again when a migration is added, which the compiler can't see.

fn main() {
    println!("cargo:rerun-if-changed=src/store/migrations");
}
