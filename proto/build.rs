//! Compiles the `.proto` files with protox: no `protoc` on the machine.

use std::{env, fs, path::Path};

use tonic_prost_build::FileDescriptorSet;

const FILES: &[&str] = &[
    "identity/directory/v1/admin_service.proto",
    "identity/directory/v1/audit_service.proto",
    "identity/directory/v1/change_service.proto",
    "identity/directory/v1/group_service.proto",
    "identity/directory/v1/lookup_service.proto",
    "identity/directory/v1/provisioning_service.proto",
    "identity/directory/v1/schema_service.proto",
    "identity/directory/v1/search_service.proto",
    "identity/directory/v1/signal_service.proto",
    "identity/directory/v1/signing_key_service.proto",
    "identity/directory/v1/token_service.proto",
    "identity/directory/v1/user_service.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=identity");
    println!("cargo:rerun-if-changed=google");
    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_source_info(true).include_imports(true);
    compiler.open_files(FILES)?;

    // The server reads the method policies from these bytes. They are kept as
    // protox made them: decoding into prost's types drops custom options.
    let bytes = compiler.encode_file_descriptor_set();
    fs::write(
        Path::new(&env::var("OUT_DIR")?).join("descriptor.binpb"),
        bytes,
    )?;

    let set: FileDescriptorSet = compiler.file_descriptor_set();
    tonic_prost_build::configure()
        // A request is encoded in one way only, so that it can be recognised.
        .btree_map(".")
        .extern_path(".google.rpc.Status", "::tonic_types::Status")
        .compile_fds(set)?;
    Ok(())
}
